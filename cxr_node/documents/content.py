"""The content tree of the report: PS3.16 TID 1500 Imaging Measurement Report."""

from collections.abc import Sequence

from highdicom.sr import (
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
)
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.sr.coding import Code

from cxr_node.documents import codes, identity, language
from cxr_node.documents.envelope import MANUFACTURER
from cxr_node.documents.groups import measurement_groups
from cxr_node.documents.library import Image, image_library
from cxr_node.documents.request import StudyReport


def build_content(
    report: StudyReport, images: Sequence[Image], procedure: Code | None, *, whole_image: bool = False
) -> Dataset:
    """The root container, in the language of the profile; `procedure` is the study's own code, where it has one.

    `whole_image` as in `Form`.

    Raises Permanent (DOCUMENT_CODE) for a finding or an explanation that has no code.
    """
    spoken = CodedConcept.from_code(codes.LANGUAGES[report.profile.language])
    root = MeasurementReport(
        observation_context=observers(report),
        procedure_reported=procedure or codes.RADIOGRAPHY,
        imaging_measurements=measurement_groups(report, images, whole_image=whole_image),
        title=codes.REPORT,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(spoken),
    )[0]
    root.ContentSequence.insert(len(root.ContentSequence) - 1, image_library(images))
    language.translate(root, report.profile.language)
    return root


def observers(report: StudyReport) -> ObservationContext:
    """The model builds that judged, as devices (TID 1002, TID 1004)."""
    judged = [*report.analyses, *(one.analysis for source in report.sources for one in source.further)]
    models = {analysis.model.digest: analysis.model for analysis in judged}
    context = ObservationContext()
    for _, model in sorted(models.items()):
        attributes = DeviceObserverIdentifyingAttributes(
            uid=identity.device_uid(report.profile.uid_root, model),
            name=report.profile.station or MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=f"{model.name} {model.version}",
            serial_number=model.digest[:16],
        )
        context.extend(ObserverContext(CodedConcept.from_code(codes.DEVICE), attributes))
    return context
