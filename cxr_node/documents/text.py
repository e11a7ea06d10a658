"""The report for archives that take nothing but Basic Text SR (PS3.3 A.35.1): sentences, and no claim to a template.

It has neither numbers nor coordinates; what the report says in those stands in its text.
"""

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom import Dataset
from pydicom.sr.coding import Code

from cxr_node.documents import codes, language
from cxr_node.documents.library import Image
from cxr_node.documents.observers import observers
from cxr_node.documents.remarks import Judged, judgements, parameters, remarks, result, run_status
from cxr_node.documents.request import StudyReport

_CONTAINS = RelationshipTypeValues.CONTAINS


def build_text(report: StudyReport, images: Sequence[Image], procedure: Code | None) -> Dataset:
    """The root container, in the language of the profile; `procedure` is the study's own code, where it has one.

    Raises Permanent (DOCUMENT_CODE) for a finding that has no code.
    """
    said = report.profile.language
    modifier = RelationshipTypeValues.HAS_CONCEPT_MOD
    root = ContainerContentItem(name=codes.TEXT_REPORT)
    root.ContentSequence = ContentSequence(
        [
            CodeContentItem(codes.LANGUAGE, codes.LANGUAGES[said], modifier),
            *observers(report.profile, [report.leading.model, *report.further_models]),
            CodeContentItem(codes.PROCEDURE_REPORTED, procedure or codes.RADIOGRAPHY, modifier),
            _section(report, images),
        ],
    )
    language.translate(root, said)
    return root


def _section(report: StudyReport, images: Sequence[Image]) -> ContainerContentItem:
    """Findings, how the run went, remarks, and how the models were read."""
    profile, judged = report.profile, judgements(report, images)
    builds = {one.analysis.model.digest: parameters(one) for one in judged}
    tier = profile.cutoffs.tier(report.leading.probability)
    items: list[ContentItem] = [_finding(one) for one in judged]
    items.append(CodeContentItem(codes.RUN_STATUS, run_status(report, judged), _CONTAINS))
    if tier in profile.triage_category:
        items.append(CodeContentItem(codes.PRIORITY, codes.TRIAGE[profile.triage_category[tier]], _CONTAINS))
    items += [TextContentItem(codes.COMMENT, text, _CONTAINS) for text in remarks(report, images, judged)]
    items += [TextContentItem(codes.ALGORITHM_PARAMETERS, text, _CONTAINS) for text in builds.values()]
    section = ContainerContentItem(codes.FINDINGS_SECTION, relationship_type=_CONTAINS)
    section.ContentSequence = ContentSequence(items)
    return section


def _finding(one: Judged) -> TextContentItem:
    """What one model says of one image, in a sentence that is inferred from the image."""
    facts = one.image.facts
    item = TextContentItem(codes.FINDING, result(one), _CONTAINS)
    inferred = RelationshipTypeValues.INFERRED_FROM
    source = ImageContentItem(codes.SOURCE, facts.sop_class_uid, facts.sop_instance_uid, relationship_type=inferred)
    item.ContentSequence = ContentSequence([source])
    return item
