"""What every object of ours has around its content (PS3.3 C.7.5, C.12), and its writing as a Part 10 file."""

from collections.abc import Iterable
from io import BytesIO
from typing import Final

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from cxr_node.documents import codes, headers, language
from cxr_node.documents.identity import device_uid
from cxr_node.documents.request import Document, Kind, Profile, StudyReport
from cxr_node.domain.finding import ModelIdentity
from cxr_node.domain.uid import IMPLEMENTATION_CLASS_UID

MANUFACTURER: Final = "cxr_node"


def describe(dataset: Dataset, report: StudyReport) -> None:
    """Adds character set, times, equipment and contributing equipment; the patient and study are there already."""
    moment = report.local_time
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.InstanceCreationDate = dataset.ContentDate = moment.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.ContentTime = moment.strftime("%H%M%S")
    dataset.TimezoneOffsetFromUTC = moment.strftime("%z")
    dataset.InstanceNumber = report.revision
    _equipment(dataset, report.profile, report.leading.model)
    dataset.ContributingEquipmentSequence = [contributor(report, report.leading.model)]


def contributor(report: StudyReport, model: ModelIdentity) -> Dataset:
    """A model build as Contributing Equipment (PS3.3 C.12.1)."""
    item, said = Dataset(), report.profile.language
    _equipment(item, report.profile, model)
    item.DeviceUID = device_uid(report.profile.uid_root, model)
    item.ContributionDateTime = report.local_time.strftime("%Y%m%d%H%M%S%z")
    item.ContributionDescription = language.sentence("intended_use." + report.profile.mode, said)
    purpose = language.named(codes.PROCESSING_EQUIPMENT, said)
    item.PurposeOfReferenceCodeSequence = [headers.as_item(purpose)]
    return item


def _equipment(dataset: Dataset, profile: Profile, model: ModelIdentity) -> None:
    """General Equipment (PS3.3 C.7.5.1), in the terms that Contributing Equipment has too."""
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = model.name
    dataset.SoftwareVersions = [f"cxr_node {profile.node_version}", f"{model.name} {model.version}"]
    dataset.DeviceSerialNumber = model.digest[:16]
    if profile.institution:
        dataset.InstitutionName = profile.institution
    if profile.station:
        dataset.StationName = profile.station


def seal(kind: Kind, dataset: Dataset, notes: Iterable[str]) -> Document:
    """The finished data set as a Part 10 file, Explicit VR Little Endian; the same data set gives the same bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = "CXR_NODE"
    dataset.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return Document(
        kind=kind,
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        series_instance_uid=dataset.SeriesInstanceUID,
        study_instance_uid=dataset.StudyInstanceUID,
        content=buffer.getvalue(),
        notes=tuple(dict.fromkeys(notes)),
    )
