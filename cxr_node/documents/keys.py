"""The selection that ties film, report and heat map together: a Key Object Selection Document (A.35.4, TID 2010)."""

from collections.abc import Sequence
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    CompositeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom import Dataset
from pydicom.config import disable_value_validation

from cxr_node.documents import codes, envelope, identity, language
from cxr_node.documents.headers import image_facts, requests, study_header
from cxr_node.documents.observers import observers
from cxr_node.documents.received import Received
from cxr_node.documents.references import Reference, evidence
from cxr_node.documents.request import Document, StudyReport

KEY_OBJECTS: Final = "1.2.840.10008.5.1.4.1.1.88.59"
SERIES_NUMBER: Final = 9906
_PICTURES = frozenset({"1.2.840.10008.5.1.4.1.1.7"})
"""Our documents that are images; the others are referred to as composite objects."""


@disable_value_validation()  # pydicom would quote the values of the film in its warnings
def build_key_objects(report: StudyReport, documents: Sequence[Reference]) -> Document:
    """The selection of the films of a report and of the `documents` that a destination has got of it.

    Raises Permanent as `build_report` does.
    """
    reader = Received(report.subject.header)
    facts = [image_facts(Received(source.header)) for source in report.sources]
    films = [Reference(each.sop_class_uid, each.sop_instance_uid, each.series_instance_uid) for each in facts]
    dataset = study_header(reader)
    _identify(dataset, report, documents)
    envelope.describe(dataset, report)
    dataset.update(_content(report, films, documents))
    dataset.CurrentRequestedProcedureEvidenceSequence = [evidence(dataset.StudyInstanceUID, [*films, *documents])]
    if orders := requests(reader):
        dataset.ReferencedRequestSequence = orders
    return envelope.seal("ko", dataset, reader.notes)


def _identify(dataset: Dataset, report: StudyReport, documents: Sequence[Reference]) -> None:
    """Key Object Document Series and Key Object Document (PS3.3 C.17.6.1, C.17.6.2)."""
    selected = " ".join(sorted(one.sop_instance_uid for one in documents))
    dataset.SOPClassUID = KEY_OBJECTS
    dataset.SOPInstanceUID = identity.document_uid(report, "ko", KEY_OBJECTS, variant=selected)
    dataset.SeriesInstanceUID = identity.series_uid(report, "ko", KEY_OBJECTS, dataset.StudyInstanceUID)
    dataset.Modality = "KO"
    dataset.SeriesNumber = SERIES_NUMBER
    model = report.leading.model.name
    dataset.SeriesDescription = language.sentence("series.ko", report.profile.language, model=model)
    dataset.ReferencedPerformedProcedureStepSequence = []


def _content(report: StudyReport, films: Sequence[Reference], documents: Sequence[Reference]) -> Dataset:
    said, model = report.profile.language, report.leading.model
    use = language.sentence("intended_use." + report.profile.mode, said)
    words = language.sentence("keys", said, model=model.name, version=model.version, use=use)
    if report.revision > 1:
        words += " " + language.sentence("revision", said, number=report.revision)
    root = ContainerContentItem(name=codes.OF_INTEREST, template_id="2010")
    root.ContentSequence = ContentSequence(
        [
            CodeContentItem(codes.LANGUAGE, codes.LANGUAGES[said], RelationshipTypeValues.HAS_CONCEPT_MOD),
            *observers(report.profile, [report.leading.model]),
            TextContentItem(codes.KEY_OBJECT_DESCRIPTION, words, RelationshipTypeValues.CONTAINS),
            *(selected(each, picture=True) for each in films),
            *(selected(each) for each in documents),
        ]
    )
    without_names(root)
    language.translate(root, said)
    return root


def without_names(root: ContainerContentItem) -> None:
    """The template gives what is selected no concept name, and highdicom asks for one."""
    for item in root.ContentSequence:
        if item.ValueType in ("IMAGE", "COMPOSITE"):
            del item.ConceptNameCodeSequence


def selected(reference: Reference, *, picture: bool = False) -> ContentItem:
    """A film (`picture`), or a document of ours, as an item of the selection."""
    kind = ImageContentItem if picture or reference.sop_class_uid in _PICTURES else CompositeContentItem
    return kind(
        codes.SOURCE, reference.sop_class_uid, reference.sop_instance_uid,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )  # fmt: skip
