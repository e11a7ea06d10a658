"""The region where the model looked most as a Segmentation (PS3.3 A.51): binary, on the pixels of the film.

It explains the model and does not delimit a lesion, so its property is the visual explanation, not the finding.
"""

from typing import Final

import cv2
import numpy as np
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cxr_node.documents import codes, envelope, identity, language
from cxr_node.documents.headers import ImageFacts, image_facts, study_header
from cxr_node.documents.received import Received
from cxr_node.documents.region import shown_outlines
from cxr_node.documents.request import Document, Source, StudyReport
from cxr_node.documents.wording import explanation_code, headline
from cxr_node.domain.uid import derive_uid

SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"
SERIES_NUMBER: Final = 9905
_LATER = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""What highdicom asks for, and what is put in afterwards, as it came."""


@disable_value_validation()  # pydicom would quote the values of the film in its warnings
def build_segmentation(report: StudyReport, source: Source) -> Document | None:
    """The segmentation of one image; None where the model has nothing to outline in it.

    Raises Permanent as `build_report` does.
    """
    reader, subject = Received(source.header), Received(report.subject.header)
    facts = image_facts(reader)
    parts = shown_outlines(source.analysis, report.profile.cutoffs, facts)
    if not facts.rows or not facts.columns or not parts:
        return None
    mask = np.zeros((facts.rows, facts.columns), dtype=np.uint8)
    cv2.fillPoly(mask, [np.floor(part).astype(np.int32) for part in parts], 1)
    header = study_header(subject)
    dataset = _segmented(report, source, _film(facts), mask)
    dataset.update(header)  # as it came, not as pydicom reads it
    _fix_dimensions(dataset, derive_uid(report.profile.uid_root, ["dimensions", dataset.SOPInstanceUID]))
    dataset.PatientOrientation = list(facts.orientation or ())
    envelope.describe(dataset, report)
    return envelope.seal("seg", dataset, (*subject.notes, *reader.notes))


def _film(facts: ImageFacts) -> Dataset:
    """What the segmentation needs to know of the film, and nothing of whose it is: highdicom stops at odd values."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.StudyInstanceUID, film.SeriesInstanceUID = facts.study_instance_uid, facts.series_instance_uid
    film.SOPClassUID, film.SOPInstanceUID = facts.sop_class_uid, facts.sop_instance_uid
    film.Rows, film.Columns, film.Modality = facts.rows, facts.columns, facts.modality
    film.SeriesNumber, film.InstanceNumber = None, None
    for keyword in _LATER:
        setattr(film, keyword, "")
    return film


def _fix_dimensions(dataset: Dataset, uid: str) -> None:
    """Gives the dimensions a UID that follows from the content; highdicom's is another one each time."""
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _segmented(report: StudyReport, source: Source, film: Dataset, mask: NDArray[np.uint8]) -> Dataset:
    """The Segmentation, with its own series."""
    profile, analysis = report.profile, report.leading if source.analysis is None else source.analysis
    said, model = profile.language, analysis.model
    study_uid = str(film.StudyInstanceUID)
    segment = SegmentDescription(
        segment_number=1,
        segment_label=language.sentence("segment", said)[:64],
        segmented_property_category=language.named(codes.SPATIAL, said),
        segmented_property_type=language.named(explanation_code(analysis.explanation), said),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=model.name, family=language.named(codes.ARTIFICIAL_INTELLIGENCE, said), version=model.version
        ),
        anatomic_regions=[language.named(codes.LUNG, said)],
    )
    made = Segmentation(
        source_images=[film],
        pixel_array=mask,
        segmentation_type="BINARY",
        segment_descriptions=[segment],
        series_instance_uid=identity.series_uid(report, "seg", SEGMENTATION, study_uid),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.document_uid(report, "seg", SEGMENTATION, source),
        instance_number=report.revision,
        manufacturer=envelope.MANUFACTURER,
        manufacturer_model_name=model.name,
        software_versions=(f"{model.name} {model.version}",),
        device_serial_number=model.digest[:16],
        content_label="AI_REGION",
        content_description=headline(profile, analysis)[:64],
        series_description=language.sentence("series.seg", said, model=model.name),
    )
    made._db_con.close()  # highdicom indexes frames in a database in memory, which nobody else would close
    dataset: Dataset = made
    return dataset
