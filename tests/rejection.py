"""Rejection notes (IHE IOCM) as an archive or an X-ray machine sends them; they are made by nobody else here."""

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
MEANINGS = {
    "113000": "Of Interest",
    "113001": "Rejected for Quality Reasons",
    "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry",
    "113039": "Data Retention Policy Expired",
}


def rejection(title: str, *films: Dataset) -> FileDataset:
    """A Key Object Selection with a title of DCM that names `films`, all of one study, in content and evidence."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = KEY_OBJECTS, ExplicitVRLittleEndian
    note = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    note.SOPClassUID, note.SOPInstanceUID = KEY_OBJECTS, generate_uid()
    meta.MediaStorageSOPInstanceUID = note.SOPInstanceUID
    note.PatientName, note.PatientID = films[0].PatientName, films[0].PatientID
    note.StudyInstanceUID, note.SeriesInstanceUID = films[0].StudyInstanceUID, generate_uid()
    note.Modality, note.ValueType = "KO", "CONTAINER"
    note.ConceptNameCodeSequence = [_code(title)]
    note.ContentSequence = [_selected(film) for film in films]
    note.CurrentRequestedProcedureEvidenceSequence = [_evidence(films)]
    return note


def _code(title: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = title, "DCM", MEANINGS[title]
    return code


def _selected(film: Dataset) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
    item.ReferencedSOPSequence = [_reference(film)]
    return item


def _reference(film: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
    return reference


def _evidence(films: tuple[Dataset, ...]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = films[0].StudyInstanceUID, []
    for film in films:
        series = Dataset()
        series.SeriesInstanceUID, series.ReferencedSOPSequence = film.SeriesInstanceUID, [_reference(film)]
        study.ReferencedSeriesSequence.append(series)
    return study
