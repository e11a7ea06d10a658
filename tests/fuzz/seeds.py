"""Sound films to begin from: generated ones in every transfer syntax, and the headers of real ones where they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Self

import numpy as np
from pydicom import dcmread, uid
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import get_frame
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from cxr_node.demo.films import installed
from tests.films import NEEDS_DCMTK, SYNTAXES, chest, encode, lateral, leg
from tests.fuzz.elements import encode as encode_elements
from tests.fuzz.elements import parse

_REAL = ("RG1_UNCR.dcm", "RG1_J2KR.dcm", "RG3_UNCR.dcm", "RG3_J2KI.dcm")
_SIDE = 48
_LOOKED_AT = ("AnatomicRegionSequence", "ViewCodeSequence", "VOILUTSequence")
DX = "1.2.840.10008.5.1.4.1.1.1.1"
_BEFORE_META = 144  # preamble, prefix and the element that says how long the rest of the File Meta is (PS3.10 7.1)


@dataclass(frozen=True, slots=True)
class Seed:
    """A sound film: what precedes its data set in the file, the data set, and its transfer syntax."""

    meta: bytes
    data: bytes
    syntax: uid.UID
    instance: bytes
    study: bytes

    def ends(self) -> frozenset[int]:
        """Where its elements end, and 0."""
        return _ends(self.data, self.syntax.is_implicit_VR)

    def renewed(self, chance: Random) -> Self:
        """The same film with other UIDs of the same length."""
        meta, data, instance = self.meta, self.data, _other(self.instance, chance)
        for old, new in ((self.instance, instance), (self.study, _other(self.study, chance))):
            meta, data = meta.replace(old, new), data.replace(old, new)
        return replace(self, meta=meta, data=data, instance=instance)


@lru_cache(maxsize=1)
def headers() -> tuple[Seed, ...]:
    """Films in Implicit or Explicit VR Little Endian with a few pixels each."""
    generated = [_small(number, make) for number, make in enumerate((chest, lateral, leg, chest))]
    generated[3].file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
    paths = [path for name in _REAL if (path := installed(name))]
    return tuple(_seed(film) for film in [*generated, *(_shrunk(dcmread(path)) for path in paths)])


@lru_cache(maxsize=1)
def frames() -> tuple[Seed, ...]:
    """One small film in every transfer syntax that can be encoded here."""
    possible = [syntax for syntax in SYNTAXES if syntax not in NEEDS_DCMTK or Path("/usr/bin/dcmcjpeg").exists()]
    return tuple(_seed(encode(_small(7, chest), syntax)) for syntax in possible)


@lru_cache(maxsize=1)
def codestreams() -> tuple[bytes, ...]:
    """The compressed images among them, without the data set around."""
    compressed = [seed for seed in frames() if seed.syntax.is_compressed and not seed.syntax.is_deflated]
    return tuple(
        get_frame(dcmread(BytesIO(seed.meta + seed.data)).PixelData, 0, number_of_frames=1) for seed in compressed
    )


def _seed(film: FileDataset) -> Seed:
    file, syntax = BytesIO(), film.file_meta.TransferSyntaxUID
    film.save_as(
        file, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian, enforce_file_format=True
    )
    written = file.getvalue()
    start = _BEFORE_META + int.from_bytes(written[_BEFORE_META - 4 : _BEFORE_META], "little")
    return Seed(written[:start], written[start:], syntax, film.SOPInstanceUID.encode(), film.StudyInstanceUID.encode())


@lru_cache(maxsize=64)
def _ends(data: bytes, implicit: bool) -> frozenset[int]:
    sizes = (len(encode_elements([element])) for element in parse(data, implicit))
    return frozenset({0, *accumulate(sizes)})


def split(file: bytes) -> tuple[bytes, bytes]:
    """A Part 10 file as what precedes its data set, and the data set."""
    start = _BEFORE_META + int.from_bytes(file[_BEFORE_META - 4 : _BEFORE_META], "little")
    return file[:start], file[start:]


def _other(known: bytes, chance: Random) -> bytes:
    return known[:-8] + b"%08d" % chance.randrange(10**8)


def commitment(instance: bytes) -> bytes:
    """A request for storage commitment, or its result (PS3.4 J.3), in Implicit VR Little Endian."""
    return result(instance + b".1", [instance], [])


def result(transaction: bytes, committed: Sequence[bytes], failed: Sequence[bytes]) -> bytes:
    """What a destination reports of instances (PS3.4 J.3.3), in Implicit VR Little Endian."""
    report = Dataset()
    report.TransactionUID = transaction.decode()
    report.ReferencedSOPSequence = [_reference(each) for each in committed]
    if failed:
        report.FailedSOPSequence = [_reference(each) for each in failed]
        for item in report.FailedSOPSequence:
            item.FailureReason = 0x0112
    return _implicit(report)


def _reference(instance: bytes) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = DX, instance.decode()
    return item


def step(instance: bytes, state: str, study: bytes = b"", film: bytes = b"") -> bytes:
    """A modality performed procedure step (PS3.4 F.7) that made one film, in Implicit VR Little Endian.

    `study` and `film` are UIDs of its own where they are not given.
    """
    series, scheduled, step = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = instance.decode() + ".2"
    series.ReferencedImageSequence = [_reference(film or instance + b".1")]
    scheduled.StudyInstanceUID, scheduled.AccessionNumber = (study or instance + b".3").decode(), "A1"
    step.PerformedProcedureStepID, step.PerformedProcedureStepStatus = "P1", state
    step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime = "20260301", "081500"
    step.Modality, step.PatientID, step.PatientName = "DX", "P1", "Doe^Jane"
    step.PerformedSeriesSequence, step.ScheduledStepAttributesSequence = [series], [scheduled]
    return _implicit(step)


def _implicit(dataset: Dataset) -> bytes:
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = True, True
    write_dataset(file, dataset)
    return file.getvalue()


def _small(number: int, make: Callable[..., FileDataset]) -> FileDataset:
    """With few pixels, and without most of what nobody asks a film: changes fall on the rest all the more."""
    film = make(number)
    for keyword in [each.keyword for each in film if each.VR == "SQ" and each.keyword not in _LOOKED_AT]:
        delattr(film, keyword)
    ramp = np.arange(_SIDE * _SIDE, dtype=np.uint16) % 4096
    film.Rows = film.Columns = _SIDE
    film.PixelData = ramp.tobytes()
    return film


def _shrunk(film: FileDataset) -> FileDataset:
    film.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    film.Rows = film.Columns = _SIDE
    del film.PixelData
    film.add_new("PixelData", "OW", bytes(range(256)) * (_SIDE * _SIDE * film.BitsAllocated // 8 // 256))
    return film
