"""The content tree of the report: PS3.16 TID 1500 Imaging Measurement Report."""

from collections.abc import Sequence

from highdicom.sr import (
    ContainerContentItem,
    ContentSequence,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    RelationshipTypeValues,
)
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.sr.coding import Code

from cxr_node.documents import codes, language
from cxr_node.documents.groups import measurement_groups
from cxr_node.documents.library import Image, image_library
from cxr_node.documents.observers import observers
from cxr_node.documents.request import StudyReport

_CONTAINS = RelationshipTypeValues.CONTAINS


def build_content(
    report: StudyReport, images: Sequence[Image], procedure: Code | None, *, whole_image: bool = False
) -> Dataset:
    """The root container, in the language of the profile; `procedure` is the study's own code, where it has one.

    `whole_image` as in `Form`.

    Raises Permanent (DOCUMENT_CODE) for a finding or an explanation that has no code.
    """
    spoken = CodedConcept.from_code(codes.LANGUAGES[report.profile.language])
    groups = measurement_groups(report, images, whole_image=whole_image)
    root = MeasurementReport(
        observation_context=observers(report.profile, [report.leading.model]),
        procedure_reported=procedure or codes.RADIOGRAPHY,
        imaging_measurements=groups.measured,
        title=codes.REPORT,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(spoken),
    )[0]
    root.ContentSequence.insert(len(root.ContentSequence) - 1, image_library(images))
    if groups.beside:
        evaluations = ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
        evaluations.ContentSequence = ContentSequence()
        for group in groups.beside:
            evaluations.ContentSequence.extend(group)
        root.ContentSequence.append(evaluations)
    language.translate(root, report.profile.language)
    return root
