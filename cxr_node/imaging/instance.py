"""The facts of a film's header that eligibility, the worklist and comparison look at, whatever state it is in."""

import math
import re
from collections.abc import Iterator
from datetime import date

from pydicom.dataset import Dataset

from cxr_node.domain.instance import Header
from cxr_node.errors import Permanent
from cxr_node.imaging.header import first_item, items, read, texts
from cxr_node.message import N_, Message

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_AGE_UNITS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_DESCRIPTIONS = {
    "SeriesDescription": N_("Series Description (0008,103E)"),
    "ProtocolName": N_("Protocol Name (0018,1030)"),
    "AcquisitionDeviceProcessingDescription": N_("Acquisition Device Processing Description (0018,1400)"),
}


def read_instance(dataset: Dataset) -> Header:
    """The header's facts; attributes that are absent or malformed become None.

    Raises:
        Permanent: UID_MISSING, UID_INVALID: the film cannot be filed, since its SOP Class, SOP Instance, Study or
            Series Instance UID is missing or no UID (PS3.5 section 9: digits and dots, at most 64 characters).
    """
    return Header(
        sop_class_uid=_uid(dataset, "SOPClassUID", "(0008,0016)"),
        sop_instance_uid=_uid(dataset, "SOPInstanceUID", "(0008,0018)"),
        study_instance_uid=_uid(dataset, "StudyInstanceUID", "(0020,000D)"),
        series_instance_uid=_uid(dataset, "SeriesInstanceUID", "(0020,000E)"),
        modality=_text(dataset, "Modality"),
        image_type=texts(dataset, "ImageType"),
        presentation_intent=_text(dataset, "PresentationIntentType"),
        body_part=_text(dataset, "BodyPartExamined"),
        anatomic_region=_code(dataset, "AnatomicRegionSequence"),
        view_position=_text(dataset, "ViewPosition"),
        view_code=_code(dataset, "ViewCodeSequence"),
        patient_orientation=texts(dataset, "PatientOrientation"),
        laterality=_text(dataset, "ImageLaterality") or _text(dataset, "Laterality"),
        descriptions={name: text for keyword, name in _DESCRIPTIONS.items() if (text := _text(dataset, keyword))},
        species=_code(dataset, "PatientSpeciesCodeSequence") or _upper(_text(dataset, "PatientSpeciesDescription")),
        age_years=_age(dataset),
        rows=_count(dataset, "Rows"),
        columns=_count(dataset, "Columns"),
        patient_id=_text(dataset, "PatientID"),
        issuer_of_patient_id=_text(dataset, "IssuerOfPatientID"),
        accession_number=_text(dataset, "AccessionNumber"),
        requested_priority=_upper(_text(dataset, "RequestedProcedurePriority")),
        patient_name=_text(dataset, "PatientName"),
        birth_date=_day(dataset, "PatientBirthDate"),
        sex=_upper(_text(dataset, "PatientSex")),
        station_name=_text(dataset, "StationName"),
        manufacturer=_text(dataset, "Manufacturer"),
        model_name=_text(dataset, "ManufacturerModelName"),
        study_date=_day(dataset, "StudyDate"),
        procedures=tuple(_procedures(dataset)),
    )


def _text(dataset: Dataset, keyword: str) -> str | None:
    return next(iter(texts(dataset, keyword)), None) or None


def _upper(text: str | None) -> str | None:
    return text.upper() if text else None


def _uid(dataset: Dataset, keyword: str, tag: str) -> str:
    text = _text(dataset, keyword)
    if text is None:
        raise Permanent(
            "UID_MISSING", Message("{keyword} {tag} is missing; the object cannot be filed", keyword=keyword, tag=tag)
        )
    if len(text) > 64 or not _UID.fullmatch(text):
        raise Permanent(
            "UID_INVALID",
            Message("{keyword} {tag} is not a UID: digits and dots, at most 64 characters", keyword=keyword, tag=tag),
        )
    return text


def _code(dataset: Dataset, keyword: str) -> str | None:
    item = first_item(dataset, keyword)
    return _text(item, "CodeValue") if item is not None else None


def _procedures(dataset: Dataset) -> Iterator[str]:
    for request in items(dataset, "RequestAttributesSequence"):
        for code in items(request, "RequestedProcedureCodeSequence"):
            if value := _text(code, "CodeValue"):
                yield value


def _count(dataset: Dataset, keyword: str) -> int | None:
    value = read(dataset, keyword)
    return value if isinstance(value, int) and value > 0 else None


def _age(dataset: Dataset) -> float | None:
    """Patient's Age (0010,1010), else from birth date and study date; in years."""
    match = re.fullmatch(r"(\d{3})([DWMY])", _text(dataset, "PatientAge") or "")
    if match:
        return int(match[1]) * _AGE_UNITS[match[2]]
    born, seen = _date(dataset, "PatientBirthDate"), _date(dataset, "StudyDate")
    years = (seen - born).days / 365.25 if born and seen else math.nan
    return years if 0 <= years <= 130 else None


def _day(dataset: Dataset, keyword: str) -> str | None:
    found = _date(dataset, keyword)
    return f"{found:%Y%m%d}" if found else None


def _date(dataset: Dataset, keyword: str) -> date | None:
    match = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", _text(dataset, keyword) or "")
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None
