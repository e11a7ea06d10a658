"""One film, de-identified: a new data set of what the profile names, with the same pixel values."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from itertools import takewhile
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from cxr_node.domain.eligibility import SECONDARY_CAPTURE
from cxr_node.domain.pseudonym import Pseudonyms
from cxr_node.domain.uid import IMPLEMENTATION_CLASS_UID, UUID_ROOT, derive_uid
from cxr_node.errors import Permanent
from cxr_node.export import profile
from cxr_node.imaging import Stored, read_header
from cxr_node.imaging.header import numbers, read

_MOMENT = re.compile(r"(\d{8})(?:(\d{2})(\d{2})?(\d{2})?)?")
_NUMBERS_OF_PATIENTS = frozenset({"PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate"})
_REGISTERED = "1.2.840.10008."
_SHORTEST_NAME, _SHORTEST_NUMBER = 4, 6
_INTEGERS = frozenset({"IS", "US", "SS", "US or SS"})


@dataclass(frozen=True, slots=True)
class Alias:
    """Who a patient is outside: a new Patient ID, and how far their dates are moved."""

    patient_id: str
    shift: timedelta


def alias_of(names: Pseudonyms, patient_id: str | None, issuer: str | None, study: str) -> Alias:
    """The same for a patient each time; a film without a Patient ID is of a patient of its own study."""
    who = ("patient", issuer or "", patient_id) if patient_id else ("study", "", study)
    days = 366 + names.number("export days", *who) % 3650
    seconds = names.number("export seconds", *who) % 86400
    return Alias(names.digest("export patient", *who, letters=16).upper(), -timedelta(days=days, seconds=seconds))


def uid_of(names: Pseudonyms, uid: str) -> str:
    """What a UID becomes outside; the same each time."""
    return derive_uid(UUID_ROOT, ["export", names.digest("export uid", uid, letters=52)])


def deidentified(film: Dataset, pixels: Stored, alias: Alias, names: Pseudonyms) -> FileDataset:
    """The film as it may leave, uncompressed.

    Raises Permanent: BURNED_IN where the picture may show who it is of, IDENTIFIER_LEFT where something that identifies
    would still stand in what may be kept.
    """
    _require_no_lettering(film)
    out = _new(film, names)
    out.PatientName = out.PatientID = alias.patient_id
    for keyword in profile.EMPTY:
        setattr(out, keyword, "")
    _describe(film, out)
    _move_dates(film, out, alias.shift)
    _say_how(out)
    _require_nobody(film, out)
    _put_pixels(film, pixels, out)
    return out


def _require_no_lettering(film: Dataset) -> None:
    said = next(iter(_texts(film, "BurnedInAnnotation")), "")
    if said == "YES":
        raise Permanent("BURNED_IN", "Burned In Annotation (0028,0301) is YES: the picture itself may name somebody")
    if str(film.SOPClassUID) == SECONDARY_CAPTURE and said != "NO":
        raise Permanent("BURNED_IN", "a secondary capture that does not say that nothing is burned in (0028,0301)")


def _new(film: Dataset, names: Pseudonyms) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = film.SOPClassUID
    meta.MediaStorageSOPInstanceUID = UID(uid_of(names, str(film.SOPInstanceUID)))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    out = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    out.SOPClassUID = film.SOPClassUID
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(out, keyword, uid_of(names, str(film[keyword].value)))
    return out


def _describe(film: Dataset, out: Dataset) -> None:
    """What the picture shows and how it was made."""
    for keyword in profile.WORDS:
        _set(out, keyword, _words(film, keyword))
    for keyword in profile.NUMBERS:
        _set(out, keyword, _numbers(film, keyword))
    for keyword in profile.TEXTS:
        _set(out, keyword, [text for text in _texts(film, keyword) if text.isascii() and len(text) <= 64][:1])
    for keyword, codes in profile.CODES.items():
        _set(out, keyword, _codes(film, keyword, codes))
    for keyword, more in profile.TABLES.items():
        if tables := [_table(item, more) for item in _items(film, keyword) if "LUTData" in item]:
            setattr(out, keyword, Sequence(tables))
    for keyword in profile.EMPTY_IF_PRESENT:
        if keyword in film and keyword not in out:
            setattr(out, keyword, Sequence() if keyword.endswith("Sequence") else None)


def _move_dates(film: Dataset, out: Dataset, shift: timedelta) -> None:
    for day, time in profile.DATES:
        if day not in film:
            continue
        moved = _moved(_first(film, day), _first(film, time), shift)
        setattr(out, day, moved[0])
        if time in film:
            setattr(out, time, moved[1])


def _moved(day: str, time: str, shift: timedelta) -> tuple[str, str]:
    """Date and time moved together, empty where they cannot be read; a date without a time is moved by whole days."""
    match = _MOMENT.fullmatch(day + time.partition(".")[0]) or _MOMENT.fullmatch(day)
    try:
        if match is None:
            return "", ""
        clock = "".join(part or "00" for part in match.groups()[1:])
        moved = datetime.strptime(match[1] + clock, "%Y%m%d%H%M%S") + (  # noqa: DTZ007 - it stays a local time
            shift if match[2] else timedelta(days=shift.days)
        )
    except (ValueError, OverflowError):
        return "", ""
    return f"{moved:%Y%m%d}".zfill(8), f"{moved:%H%M%S}" if match[2] else ""


def _say_how(out: Dataset) -> None:
    """PS3.15 E.1.1: that and how it was done."""
    out.PatientIdentityRemoved = "YES"
    out.DeidentificationMethod = list(profile.METHOD)
    out.DeidentificationMethodCodeSequence = Sequence(
        [_code(value, "DCM", meaning) for value, meaning in profile.METHOD_CODES.items()]
    )
    out.LongitudinalTemporalInformationModified = "MODIFIED"


def _require_nobody(film: Dataset, out: FileDataset) -> None:
    """The last look: nothing that names this patient or study may stand anywhere in the new header."""
    header = BytesIO()
    out.save_as(header, enforce_file_format=True)
    written = header.getvalue().decode("latin-1").casefold()
    if any(word in written for word in _identifiers(film)):
        raise Permanent("IDENTIFIER_LEFT", "a name or number of the patient stands where something else belongs")


def _identifiers(film: Dataset) -> Iterator[str]:
    """What would give the patient away: names, numbers and UIDs, wherever the film has them."""
    for element in film.iterall():
        if element.VR not in ("PN", "UI") and element.keyword not in _NUMBERS_OF_PATIENTS:
            continue
        for value in element.value if isinstance(element.value, MultiValue) else [element.value]:
            parts = re.split(r"[\^=\s]", str(value)) if element.VR == "PN" else [str(value or "")]
            yield from (part.casefold() for part in parts if _tells(part))


def _tells(part: str) -> bool:
    """Not what DICOM itself registers, nor what is so short that it occurs in anything."""
    return not part.startswith(_REGISTERED) and len(part) >= (_SHORTEST_NUMBER if part.isdigit() else _SHORTEST_NAME)


def _put_pixels(film: Dataset, pixels: Stored, out: Dataset) -> None:
    """The decoded values, so that nothing rides along: no comment of a codec, no overlay in unused bits."""
    header = read_header(film)
    out.Rows, out.Columns = pixels.shape
    out.BitsAllocated, out.BitsStored, out.HighBit = 8 * pixels.itemsize, header.bits_stored, header.bits_stored - 1
    out.PixelRepresentation = int(header.signed)
    data = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    out.add_new("PixelData", "OW" if pixels.itemsize > 1 else "OB", data + b"\0" * (len(data) % 2))


def _words(film: Dataset, keyword: str) -> list[str]:
    allowed = profile.WORDS[keyword]
    return list(takewhile(lambda text: text in allowed, _texts(film, keyword)))


def _numbers(film: Dataset, keyword: str) -> list[Any]:
    kind = dictionary_VR(keyword)
    if kind == "DS":
        return [DSfloat(value, auto_format=True) for value in numbers(film, keyword)]
    return [int(value) if kind in _INTEGERS else value for value in numbers(film, keyword)]


def _codes(film: Dataset, keyword: str, codes: Any) -> list[Dataset]:
    said = [(_first(item, "CodeValue"), _first(item, "CodingSchemeDesignator")) for item in _items(film, keyword)]
    return [_code(*one, codes[one]) for one in said if one in codes]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _table(item: Dataset, more: str) -> Dataset:
    table = Dataset()
    for keyword in ("LUTDescriptor", "LUTData"):
        if keyword in item:
            table[keyword] = item[keyword]
    if more:
        _set(table, more, _words(item, more))
    return table


def _items(film: Dataset, keyword: str) -> list[Dataset]:
    value = read(film, keyword)
    return list(value) if isinstance(value, Sequence) else []


def _texts(film: Dataset, keyword: str) -> list[str]:
    value = read(film, keyword)
    values = value if isinstance(value, MultiValue | list) else [] if value is None else [value]
    return [str(each).strip(" \0") for each in values]


def _first(film: Dataset, keyword: str) -> str:
    return next(iter(_texts(film, keyword)), "")


def _set(out: Dataset, keyword: str, values: list[Any]) -> None:
    """Set an attribute to one value or several; without any it is left out."""
    if values and keyword.endswith("Sequence"):
        setattr(out, keyword, Sequence(values))
    elif values:
        setattr(out, keyword, values[0] if len(values) == 1 else values)
