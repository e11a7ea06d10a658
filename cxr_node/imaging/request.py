"""Whose a film is, and what it was ordered as: what a message to the RIS repeats of its header (PS3.3 C.7.1, C.7.2)."""

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from cxr_node.domain.order import Procedure
from cxr_node.imaging.header import first_item, texts


@dataclass(frozen=True, slots=True)
class Name:
    """One way to write a person's name (PS3.5 6.2): family and given name, middle name, prefix, suffix."""

    family: str
    given: str = ""
    middle: str = ""
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Requested:
    """What the header says; empty where it says nothing.

    `names` has the alphabetic, ideographic and phonetic writing of the patient's name, as far as they are there.
    """

    study_instance_uid: str
    modality: str
    patient_id: str
    issuer: str
    issuer_oid: str
    names: tuple[Name, ...]
    birth_date: str
    sex: str
    accession: str
    placer: str
    filler: str
    procedure_id: str
    step_id: str
    procedure: Procedure


def requested(dataset: Dataset) -> Requested:
    """The header's facts; what is absent or malformed is empty."""
    item, issuer = first_item(dataset, "RequestAttributesSequence"), _qualifier(dataset)
    birth_date, sex = _text(dataset, "PatientBirthDate"), _text(dataset, "PatientSex").upper()
    return Requested(
        study_instance_uid=_text(dataset, "StudyInstanceUID"),
        modality=_text(dataset, "Modality"),
        patient_id=_text(dataset, "PatientID"),
        issuer=_text(dataset, "IssuerOfPatientID"),
        issuer_oid=issuer,
        names=_names(_text(dataset, "PatientName")),
        birth_date=birth_date if re.fullmatch("[0-9]{8}", birth_date) else "",
        sex=sex if sex in ("M", "F", "O") else "",
        accession=_text(dataset, "AccessionNumber") or _text(item, "AccessionNumber"),
        placer=_text(dataset, "PlacerOrderNumberImagingServiceRequest"),
        filler=_text(dataset, "FillerOrderNumberImagingServiceRequest"),
        procedure_id=_text(item, "RequestedProcedureID"),
        step_id=_text(item, "ScheduledProcedureStepID"),
        procedure=_procedure(dataset, item),
    )


def _procedure(dataset: Dataset, item: Dataset | None) -> Procedure:
    """What was requested; where no code and no words of the request are there, how the study is described."""
    for place, keyword in ((item, "RequestedProcedureCodeSequence"), (dataset, "ProcedureCodeSequence")):
        code = first_item(place, keyword) if place is not None else None
        if code is not None and (value := _text(code, "CodeValue")):
            return Procedure(value, _text(code, "CodeMeaning"), _text(code, "CodingSchemeDesignator"))
    words = _text(item, "RequestedProcedureDescription") or _text(dataset, "StudyDescription")
    return Procedure("", words, "")


def _qualifier(dataset: Dataset) -> str:
    """The OID of who issued the Patient ID, where it is given as one (0010,0024)."""
    item = first_item(dataset, "IssuerOfPatientIDQualifiersSequence")
    return _text(item, "UniversalEntityID") if _text(item, "UniversalEntityIDType") == "ISO" else ""


def _names(text: str) -> tuple[Name, ...]:
    """The component groups of a name; an empty first one, of a name without Latin letters, is kept in its place."""
    groups = [group.split("^") for group in text.split("=")[:3]] if text else []
    return tuple(Name(*(part.strip() for part in parts[:5])) for parts in groups)


def _text(dataset: Dataset | None, keyword: str) -> str:
    return next(iter(texts(dataset, keyword)), "") if dataset is not None else ""
