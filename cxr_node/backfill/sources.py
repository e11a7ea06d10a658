"""Where films of before come from: a folder, a DICOMweb server, an archive that is asked by C-FIND and C-MOVE."""

import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from cxr_node.backfill.run import Skipped, Source
from cxr_node.dicomweb import client
from cxr_node.dicomweb.client import Server, value_of
from cxr_node.dimse import retrieval
from cxr_node.dimse.sender import Peer
from cxr_node.domain.intake import Intake, Received
from cxr_node.errors import Permanent, Transient
from cxr_node.imaging.digest import data_set_digest
from cxr_node.imaging.header import texts
from cxr_node.imaging.part10 import read_film_header

FILMS: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.1",
        "1.2.840.10008.5.1.4.1.1.1.1",
        "1.2.840.10008.5.1.4.1.1.1.1.1",
        "1.2.840.10008.5.1.4.1.1.7",
    }
)
"""The SOP classes that may be radiographs."""
CALLING: Final = "BACKFILL"
_STUDY, _SERIES, _MODALITY = "0020000D", "0020000E", "00080060"
_PART10 = b"DICM"


@dataclass(frozen=True, slots=True)
class Days:
    """Studies of these days, both included."""

    since: date
    until: date

    def each(self) -> Iterator[date]:
        """The newest first: what is looked at next to a film of now is the film before it."""
        for number in range((self.until - self.since).days + 1):
            yield self.until - timedelta(days=number)


@dataclass(frozen=True, slots=True)
class Door:
    """The way into the node for what did not come over the listener: parts in `incoming`, judged by `intake`."""

    incoming: Path
    intake: Intake
    modalities: frozenset[str]

    def take(self, write: Callable[[Path], object]) -> bool:
        """Take in one object that `write` puts into a file. Raises Skipped, Transient, Permanent."""
        part = self.incoming / f"{uuid.uuid4().hex}.backfill.part"
        try:
            write(part)
            sop_class, uid, syntax = self._looked_at(part)
            with part.open("rb+") as stream:
                verdict = self.intake.accept(
                    Received(part, stream, data_set_digest(part), None, sop_class, uid, syntax, CALLING, "")
                )
        finally:
            part.unlink(missing_ok=True)
        if verdict.answer == 0xA700:
            raise Transient("DISK_FULL", "the node cannot take a film now")
        if verdict.answer != 0x0000:
            raise Permanent("UNPARSEABLE", f"the node did not take it: {verdict.comment}")
        return True

    def _looked_at(self, part: Path) -> tuple[str, str, str]:
        with part.open("rb") as stream:
            stream.seek(128)
            if stream.read(4) != _PART10:
                raise Skipped("it is no DICOM file (PS3.10)")
        header = read_film_header(part)
        meta = header.file_meta
        sop_class = str(meta.get("MediaStorageSOPClassUID", ""))
        modality = next(iter(texts(header, "Modality")), "")
        if sop_class not in FILMS or modality not in self.modalities:
            raise Skipped("it is no radiograph")
        return sop_class, str(meta.get("MediaStorageSOPInstanceUID", "")), str(meta.TransferSyntaxUID)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Of a source what is among the items `wanted`, in its order."""

    source: Source
    wanted: Collection[str]

    @property
    def name(self) -> str:
        return self.source.name

    def items(self) -> Iterator[str]:
        return (item for item in self.source.items() if item in self.wanted)

    def study_of(self, item: str) -> str:
        return self.source.study_of(item)

    def fetch(self, item: str) -> int:
        return self.source.fetch(item)


@dataclass(frozen=True, slots=True)
class Folder:
    """Every file below a folder, by name."""

    path: Path
    door: Door

    @property
    def name(self) -> str:
        return f"folder {self.path.resolve()}"

    def items(self) -> Iterator[str]:
        yield from sorted(str(each.relative_to(self.path)) for each in self.path.rglob("*") if each.is_file())

    def study_of(self, item: str) -> str:
        try:
            header = read_film_header(self.path / item)
        except Permanent as error:
            raise Skipped("it is no DICOM file (PS3.10)") from error
        study = next(iter(texts(header, "StudyInstanceUID")), "")
        if not study:
            raise Skipped("it has no Study Instance UID")
        return study

    def fetch(self, item: str) -> int:
        return int(self.door.take(lambda part: shutil.copyfile(self.path / item, part)))


@dataclass(frozen=True, slots=True)
class Web:
    """The studies of a DICOMweb server with images of these modalities: QIDO-RS and WADO-RS."""

    server: Server
    days: Days
    door: Door

    @property
    def name(self) -> str:
        return f"dicomweb {self.server.url}"

    def items(self) -> Iterator[str]:
        yield from studies_of(self.server, self.days, self.door.modalities)

    def study_of(self, item: str) -> str:
        return item

    def fetch(self, item: str) -> int:
        taken: list[bool] = []

        def write(chunks: Iterable[bytes]) -> None:
            def into(part: Path) -> None:
                with part.open("wb") as stream:
                    stream.writelines(chunks)

            try:
                taken.append(self.door.take(into))
            except Skipped:
                taken.append(False)

        for uid in series_of(self.server, item, self.door.modalities):
            client.retrieve(self.server, f"/studies/{item}/series/{uid}", write)
        if not any(taken):
            raise Skipped("it has no radiograph")
        return sum(taken)


def studies_of(server: Server, days: Days, modalities: Collection[str]) -> Iterator[str]:
    """The Study Instance UIDs that a DICOMweb server has of these modalities, day by day (QIDO-RS)."""
    for day in days.each():
        found: dict[str, None] = {}
        for modality in sorted(modalities):
            query = {"StudyDate": f"{day:%Y%m%d}", "ModalitiesInStudy": modality}
            for one in client.search(server, "/studies", query):
                found |= dict.fromkeys(value_of(one, _STUDY))
        yield from found


def series_of(server: Server, study: str, modalities: Collection[str]) -> Iterator[str]:
    """The Series Instance UIDs of a study that are of these modalities."""
    for series in client.search(server, f"/studies/{study}/series", {}):
        if set(value_of(series, _MODALITY)) & set(modalities):
            yield from value_of(series, _SERIES)


@dataclass(frozen=True, slots=True)
class Archive:
    """The studies of an archive that is asked by C-FIND, and sends them to the running node's listener by C-MOVE.

    `calling` is the node's AE title, to which the archive is to send; `queried` records a query before it leaves.
    """

    peer: Peer
    calling: str
    days: Days
    modalities: Sequence[str]
    queried: retrieval.Queried

    @property
    def name(self) -> str:
        return f"archive {self.peer.ae_title}@{self.peer.host}:{self.peer.port}"

    def items(self) -> Iterator[str]:
        for day in self.days.each():
            found: dict[str, None] = {}
            for modality in self.modalities:
                keys = {"QueryRetrieveLevel": "STUDY", "StudyDate": f"{day:%Y%m%d}", "ModalitiesInStudy": modality}
                found |= dict.fromkeys(self._find(keys, "StudyInstanceUID"))
            yield from found

    def study_of(self, item: str) -> str:
        return item

    def fetch(self, item: str) -> int:
        completed = failed = 0
        for modality in self.modalities:
            keys = {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": item, "Modality": modality}
            for series in self._find(keys, "SeriesInstanceUID"):
                moved = retrieval.move(self.peer, self.calling, self.calling, item, series)
                completed, failed = completed + moved.completed, failed + moved.failed
        if failed:
            raise Transient("PEER_FAULT", f"{self.peer.name} could not send {failed} objects of a study")
        if not completed:
            raise Skipped("it has no radiograph")
        return completed

    def _find(self, keys: dict[str, str], wanted: str) -> list[str]:
        return list(retrieval.find(self.peer, self.calling, keys, wanted, self.queried))
