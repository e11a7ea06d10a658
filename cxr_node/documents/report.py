"""The structured report: a TID 1500 tree as Comprehensive 3D, Comprehensive or Enhanced SR, or Basic Text SR.

PS3.3 A.35.13, A.35.3, A.35.2, A.35.1. The three differ in the SOP Class UID alone: the tree has no 3D coordinates, and
no references from one item to another.
"""

from collections.abc import Sequence
from typing import Final

from pydicom import Dataset
from pydicom.config import disable_value_validation

from cxr_node.documents import envelope, identity, language
from cxr_node.documents.content import build_content
from cxr_node.documents.headers import ImageFacts, image_facts, procedure_code, requests, study_header
from cxr_node.documents.library import Image
from cxr_node.documents.received import Received
from cxr_node.documents.references import Reference, evidence
from cxr_node.documents.request import Document, Form, StudyReport
from cxr_node.documents.text import build_text
from cxr_node.domain.report_class import REPORT_CLASSES

SERIES_NUMBER: Final = 9901


@disable_value_validation()  # pydicom would quote the values of the film in its warnings
def build_report(report: StudyReport, form: Form = Form()) -> Document:  # noqa: B008 - frozen
    """The report of one revision of a study, in the form of a destination: complete, unverified, preliminary.

    Raises Permanent: DOCUMENT_SOURCE when a source does not say which instance, series and study it is; DOCUMENT_CODE
    for a finding or an explanation that has no code.
    """
    readers = [Received(source.header) for source in report.sources]
    subject = next(each for each, source in zip(readers, report.sources, strict=True) if source is report.subject)
    dataset = study_header(subject)
    images = [
        Image(source, image_facts(reader), number)
        for number, (source, reader) in enumerate(zip(report.sources, readers, strict=True), start=1)
    ]
    _identify(dataset, report, form)
    envelope.describe(dataset, report)
    dataset.ContributingEquipmentSequence.extend(envelope.contributor(report, one) for one in report.further_models)
    procedure = procedure_code(subject)
    if form.sr_class == "basic_text":
        dataset.update(build_text(report, images, procedure))
    else:
        dataset.update(build_content(report, images, procedure, whole_image=form.whole_image))
    _refer(dataset, report, [image.facts for image in images])
    if orders := requests(subject):
        dataset.ReferencedRequestSequence = orders
    return envelope.seal("sr", dataset, (note for reader in readers for note in reader.notes))


def _identify(dataset: Dataset, report: StudyReport, form: Form) -> None:
    """SR Document Series and General (PS3.3 C.17.1, C.17.2)."""
    sop_class, variant = REPORT_CLASSES[form.sr_class], "whole image" if form.whole_image else ""
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = identity.document_uid(report, "sr", sop_class, variant=variant)
    dataset.SeriesInstanceUID = identity.series_uid(report, "sr", sop_class, dataset.StudyInstanceUID)
    dataset.Modality = "SR"
    dataset.SeriesNumber = SERIES_NUMBER
    dataset.SeriesDescription = language.sentence("series.sr", report.profile.language, model=report.leading.model.name)
    dataset.CompletionFlag = "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PreliminaryFlag = "PRELIMINARY"
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.PerformedProcedureCodeSequence = []


def _refer(dataset: Dataset, report: StudyReport, images: Sequence[ImageFacts]) -> None:
    """The evidence, and the report that this one follows (PS3.3 C.17.2)."""
    films = [Reference(one.sop_class_uid, one.sop_instance_uid, one.series_instance_uid) for one in images]
    dataset.CurrentRequestedProcedureEvidenceSequence = [evidence(dataset.StudyInstanceUID, films)]
    if report.predecessor:
        dataset.PredecessorDocumentsSequence = [evidence(dataset.StudyInstanceUID, [report.predecessor])]
