"""What our objects take over from the film: patient, study, order and the facts of the image.

Identity (name, ID, issuer, birth date, sex, accession number, study UID) is carried over as it came, for a repaired
identity splits the patient in the archive. What does not identify is mended or left out where it breaks the standard,
and noted, for a copied mistake makes our own object invalid.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from cxr_node.documents.received import Received, put
from cxr_node.errors import Permanent
from cxr_node.message import Message

_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_IDENTITY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyInstanceUID")
_IDENTITY_OPTIONAL = ("IssuerOfPatientID", "TypeOfPatientID")
_IDENTITY_SEQUENCES = ("IssuerOfPatientIDQualifiersSequence", "IssuerOfAccessionNumberSequence")
_STUDY = ("StudyDate", "StudyTime", "StudyID", "ReferringPhysicianName", "StudyDescription", "PatientAge")
_ORDER_EMPTY = (
    "AccessionNumber",
    "FillerOrderNumberImagingServiceRequest",
    "PlacerOrderNumberImagingServiceRequest",
    "RequestedProcedureID",
)
_ORDER_WORDS = ("RequestedProcedureDescription", "ReasonForTheRequestedProcedure")
_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
_DATE = re.compile(r"(\d{4})[.\-/]?(\d\d)[.\-/]?(\d\d)")
_TIME = re.compile(r"([01]\d|2[0-3])(?::?([0-5]\d)(?::?([0-5]\d)(?:\.(\d{1,6})\d*)?)?)?")
_LOSSY_SYNTAXES: dict[str, str] = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
}
_METHOD = re.compile(r"[A-Z0-9_]{1,16}")
_ORIENTATION = re.compile(r"[APRLHF]{1,3}")


def _date(value: str) -> str | None:
    match = _DATE.fullmatch(value)
    try:
        return date(*map(int, match.groups())).isoformat().replace("-", "") if match else None
    except ValueError:
        return None


def _time(value: str) -> str | None:
    match = _TIME.fullmatch(value)
    if not match:
        return None
    *clock, fraction = (group or "" for group in match.groups())
    return "".join(clock) + (f".{fraction}" if fraction else "")


def _age(value: str) -> str | None:
    return value.zfill(4) if re.fullmatch(r"\d{1,3}[DWMY]", value) else None


def _limited(length: int) -> Callable[[str], str]:
    return lambda value: re.sub(r"[\x00-\x1f\\]", " ", value)[:length].rstrip()


_MENDED: dict[str, tuple[Callable[[str], str | None], str, bool]] = {
    # keyword: (mend, source of the rule, whether it stays, empty, when it has no valid value)
    "StudyDate": (_date, "DA, PS3.5 6.2", True),
    "StudyTime": (_time, "TM, PS3.5 6.2", True),
    "StudyID": (_limited(16), "SH, PS3.5 6.2", True),
    "ReferringPhysicianName": (_limited(194), "PN, PS3.5 6.2", True),
    "StudyDescription": (_limited(64), "LO, PS3.5 6.2", False),
    "PatientAge": (_age, "AS, PS3.5 6.2", False),
    "RequestedProcedureDescription": (_limited(64), "LO, PS3.5 6.2", True),
    "ReasonForTheRequestedProcedure": (_limited(64), "LO, PS3.5 6.2", False),
}


def study_header(received: Received) -> Dataset:
    """The Patient, General Study and Patient Study modules for our object, in Unicode.

    Raises Permanent (DOCUMENT_SOURCE) when the source does not say which instance, series and study it is (PS3.3
    C.12.1, C.7.3.1, C.7.2.1).
    """
    missing = [keyword for keyword in _REQUIRED if not received.text(keyword)]
    if missing:
        raise Permanent(
            "DOCUMENT_SOURCE",
            Message("no document can refer to an image without {missing}", missing=", ".join(missing)),
        )
    header = Dataset()
    for keyword in _IDENTITY:
        put(header, keyword, received.text(keyword))
    for keyword in _IDENTITY_OPTIONAL:
        if text := received.text(keyword):
            put(header, keyword, text)
    for keyword in _IDENTITY_SEQUENCES:
        if items := received.items(keyword):
            put(header, keyword, [item.copy() for item in items])
    for keyword in _STUDY:
        _mend(received, header, keyword)
    return header


def _mend(received: Received, header: Dataset, keyword: str) -> None:
    mend, rule, stays = _MENDED[keyword]
    text = received.text(keyword)
    value = mend(text.strip()) if text else ""
    if value is None:
        received.note(keyword, f"left out, not a valid value ({rule})")
    elif value != text.strip():
        received.note(keyword, f"mended to a valid value ({rule})")
    if value or stays:
        put(header, keyword, value or "")


def requests(received: Received) -> list[Dataset]:
    """The film's Request Attributes (PS3.3 10.6) as items of Referenced Request (PS3.3 C.17.2)."""
    return [_request(received, item) for item in received.items("RequestAttributesSequence")]


def _request(received: Received, item: Received) -> Dataset:
    request = Dataset()
    put(request, "StudyInstanceUID", _study_of(item) or received.text("StudyInstanceUID"))
    put(request, "ReferencedStudySequence", [])
    codes = _codes(item, "RequestedProcedureCodeSequence")
    put(request, "RequestedProcedureCodeSequence", [as_item(code) for code in codes])
    for keyword in _ORDER_EMPTY:
        put(request, keyword, item.text(keyword) or received.text(keyword))
    for keyword in _ORDER_WORDS:
        _mend(item if item.text(keyword) else received, request, keyword)
    if issuer := item.items("IssuerOfAccessionNumberSequence"):
        put(request, "IssuerOfAccessionNumberSequence", [each.copy() for each in issuer])
    return request


def _study_of(item: Received) -> str:
    """The study that an order names; none where it is no UID."""
    uid = item.text("StudyInstanceUID")
    if uid and not _UID.fullmatch(uid):
        item.note("StudyInstanceUID", "of an order left out, not a valid UID (PS3.5 9.1)")
        return ""
    return uid


def procedure_code(received: Received) -> Code | None:
    """The study's own procedure, from Procedure Code or else from the order; None where neither has a valid code."""
    codes = _codes(received, "ProcedureCodeSequence")
    for item in received.items("RequestAttributesSequence"):
        codes += _codes(item, "RequestedProcedureCodeSequence")
    return codes[0] if codes else None


def _codes(received: Received, keyword: str) -> list[Code]:
    """The items of a code sequence that have all that an item must have (PS3.3 8.8)."""
    codes = []
    for item in received.items(keyword):
        value, scheme, meaning = (item.text(name) for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
        if 0 < len(value) <= 16 and 0 < len(scheme) <= 16 and 0 < len(meaning) <= 64:
            codes.append(Code(value, scheme, meaning))
        else:
            received.note(keyword, "an item left out, not a complete code (PS3.3 8.8)")
    return codes


def as_item(code: Code) -> Dataset:
    """A code as an item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    put(item, "CodeValue", code.value)
    put(item, "CodingSchemeDesignator", code.scheme_designator)
    put(item, "CodeMeaning", code.meaning)
    return item


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What our objects say about the film itself; an empty or None value is not known.

    `spacing` is between rows and between columns, in mm at the detector. `orientation` is that of rows and columns.
    `lossy` is 00, 01 or unknown: what the header says, and 01 where the transfer syntax as received is lossy.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    modality: str
    rows: int | None
    columns: int | None
    spacing: tuple[float, float] | None
    orientation: tuple[str, str] | None
    view: str
    lossy: str
    lossy_ratios: tuple[float, ...]
    lossy_methods: tuple[str, ...]
    burned_in: bool


def image_facts(received: Received) -> ImageFacts:
    """Reads the facts of the film; what is malformed counts as not known."""
    orientation = received.values("PatientOrientation")
    valid = len(orientation) == 2 and all(_ORIENTATION.fullmatch(value) for value in orientation)
    method = _LOSSY_SYNTAXES.get(received.transfer_syntax)
    lossy = "01" if method else received.text("LossyImageCompression")
    methods = [value for value in received.values("LossyImageCompressionMethod") if _METHOD.fullmatch(value)]
    return ImageFacts(
        sop_class_uid=received.text("SOPClassUID"),
        sop_instance_uid=received.text("SOPInstanceUID"),
        series_instance_uid=received.text("SeriesInstanceUID"),
        study_instance_uid=received.text("StudyInstanceUID"),
        modality=received.text("Modality"),
        rows=_count(received, "Rows"),
        columns=_count(received, "Columns"),
        spacing=_spacing(received),
        orientation=(orientation[0], orientation[1]) if valid else None,
        view=received.text("ViewPosition"),
        lossy=lossy if lossy in ("00", "01") else "",
        lossy_ratios=_positive(received, "LossyImageCompressionRatio"),
        lossy_methods=tuple(methods) or ((method,) if method else ()),
        burned_in=received.text("BurnedInAnnotation") == "YES",
    )


def _count(received: Received, keyword: str) -> int | None:
    values = received.numbers(keyword)
    return int(values[0]) if len(values) == 1 and values[0] >= 1 else None


def _spacing(received: Received) -> tuple[float, float] | None:
    values = _positive(received, "ImagerPixelSpacing")
    return (values[0], values[1]) if len(values) == 2 else None


def _positive(received: Received, keyword: str) -> tuple[float, ...]:
    """The values, where all of them are above zero; else none, and a note."""
    values = received.numbers(keyword)
    if all(value > 0 for value in values) and (values or not received.text(keyword)):
        return values
    received.note(keyword, "left out, not a positive number (DS, PS3.5 6.2)")
    return ()
