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
from cxr_node.documents.content import observers
from cxr_node.documents.library import Image
from cxr_node.documents.remarks import Judged, judgements, parameters, remarks, run_status
from cxr_node.documents.request import Profile, StudyReport
from cxr_node.documents.wording import likelier_kind, percent, sure

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
            *observers(report),
            CodeContentItem(codes.PROCEDURE_REPORTED, procedure or codes.RADIOGRAPHY, modifier),
            _section(report, images),
        ],
    )
    language.translate(root, said)
    return root


def _section(report: StudyReport, images: Sequence[Image]) -> ContainerContentItem:
    """Findings, how the run went, remarks, and how the models were read."""
    profile, judged = report.profile, judgements(report, images)
    shown = [one for one in judged if one.positive] or judged
    builds = {one.analysis.model.digest: parameters(profile, one) for one in judged}
    tier = profile.cutoffs.tier(report.leading.probability)
    items: list[ContentItem] = [_finding(profile, one) for one in shown]
    items.append(CodeContentItem(codes.RUN_STATUS, run_status(report, judged), _CONTAINS))
    if tier in profile.triage_category:
        items.append(CodeContentItem(codes.PRIORITY, codes.TRIAGE[profile.triage_category[tier]], _CONTAINS))
    items += [TextContentItem(codes.COMMENT, text, _CONTAINS) for text in remarks(report, images)]
    items += [TextContentItem(codes.ALGORITHM_PARAMETERS, text, _CONTAINS) for text in builds.values()]
    section = ContainerContentItem(codes.FINDINGS_SECTION, relationship_type=_CONTAINS)
    section.ContentSequence = ContentSequence(items)
    return section


def _finding(profile: Profile, one: Judged) -> TextContentItem:
    """What one model says of one image, in a sentence that is inferred from the image."""
    facts, model = one.image.facts, one.analysis.model
    key = "text.finding" if one.positive else "text.output"
    sentences = [
        language.sentence(
            key, profile.language, finding=sure(profile, one.analysis, one.analysis.finding),
            number=one.image.number, threshold=percent(one.cutoffs.threshold), model=f"{model.name} {model.version}",
        )
    ]  # fmt: skip
    if one.positive and (kind := likelier_kind(one.analysis)):
        likelier = sure(profile, one.analysis, kind)
        sentences.append(language.sentence("text.kind", profile.language, kind=likelier))
    item = TextContentItem(codes.FINDING, " ".join(sentences), _CONTAINS)
    inferred = RelationshipTypeValues.INFERRED_FROM
    source = ImageContentItem(codes.SOURCE, facts.sop_class_uid, facts.sop_instance_uid, relationship_type=inferred)
    item.ContentSequence = ContentSequence([source])
    return item
