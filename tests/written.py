"""A document as the node would have written it, with a file: for tests of who asks for it."""

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from cxr_node.store import results
from cxr_node.store.results import Written
from tests.bench import NOON
from tests.web import Web

SR = "1.2.840.10008.5.1.4.1.1.88.34"


def document(
    web: Web, study: str, instance: str, *, patient: str = "P1", modality: str = "SR", at: float = NOON
) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = SR, instance
    dataset.SOPClassUID, dataset.SOPInstanceUID = SR, instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.5"
    dataset.PatientID, dataset.PatientName, dataset.Modality = patient, "Doe^" + "Jane", modality
    dataset.AccessionNumber, dataset.StudyDate, dataset.InstanceNumber = "A1", "20260101", 1
    path = web.bench.spool.outbox / f"{instance}.dcm"
    dcmwrite(path, dataset, enforce_file_format=True)
    with web.bench.store.transaction() as tx:
        written = Written(instance, study, 1, "full", "sr", SR, f"{study}.5", f"outbox/{instance}.dcm")
        results.add_document(tx, written, at)
    return path
