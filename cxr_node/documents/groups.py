"""The measurement groups of the report (PS3.16 TID 1410 and TID 1501): one for what each model says of each image.

Among the Imaging Measurements either every group has a region or none has: OHIF shows a report of which one group has
none as a black pane, and pixelmed's validator takes the groups without a region for broken ones where a single other
group has one. So those without a region beside those with one stand under Qualitative Evaluations, and what holds for
the study is part of the first group, that of the image that sets the tier. The model in service decides whether there
are regions: a further model has one only beside its.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContentItem,
    ContentSequence,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)

from cxr_node.documents import codes, identity, language
from cxr_node.documents.envelope import MANUFACTURER
from cxr_node.documents.library import Image
from cxr_node.documents.observers import observers
from cxr_node.documents.region import begun_for_words, outlines
from cxr_node.documents.remarks import Judged, judgements, parameters, remarks, run_status
from cxr_node.documents.request import Profile, StudyReport
from cxr_node.documents.wording import explanation_code, finding_code, likelier_kind
from cxr_node.domain.finding import Analysis, cut

Group = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations


class Groups(NamedTuple):
    """The groups among the Imaging Measurements, of which there is always one, and those `beside` them."""

    measured: list[Group]
    beside: list[Group]


def measurement_groups(report: StudyReport, images: Sequence[Image], *, whole_image: bool = False) -> Groups:
    """One group for each image and model that judged it. `whole_image` as in `Form`.

    Raises Permanent (DOCUMENT_CODE) for a finding or an explanation that has no code.
    """
    judged = judgements(report, images)
    localised = report.profile.mode == "full" and any(
        one.positive and not one.further and _region(one) for one in judged
    )
    groups = [_group(one, localised=localised, whole_image=whole_image) for one in judged]
    regions = any(map(_has_region, groups))
    measured = [group for group in groups if _has_region(group) == regions]
    measured[0][0].ContentSequence.extend(_study_items(report, judged))
    texts = remarks(report, images, judged)
    said = [TextContentItem(codes.COMMENT, text, RelationshipTypeValues.CONTAINS) for text in texts]
    measured[0][0].ContentSequence.extend(said)
    return Groups(measured, [group for group in groups if _has_region(group) != regions])


def _has_region(group: Group) -> bool:
    return isinstance(group, PlanarROIMeasurementsAndQualitativeEvaluations)


def _group(one: Judged, *, localised: bool, whole_image: bool) -> Group:
    """What one model says of one image.

    A finding is called so, where findings are `localised` with the outline of where the model looked (TID 1410), else
    as TID 1501. Without a finding, what the model gave out is a measurement, and nothing reads as a finding.
    """
    profile = one.profile
    region = _region(one) if localised and one.positive else None
    explained, key = region is not None, "group.finding" if one.positive else "group.output"
    whole = _whole(one.image) if whole_image and not explained else None
    shared: dict[str, Any] = {
        "tracking_identifier": _tracking(profile, one, key, whole=whole is not None),
        "algorithm_id": _algorithm(one),
        "measurements": [_certainty(profile, one.analysis.probability)],
        "qualitative_evaluations": _evaluations(one, explained=explained),
    }
    if one.positive:
        found = finding_code(one.analysis, one.analysis.finding, profile.language)
        shared |= {"finding_type": found, "finding_sites": [FindingSite(codes.LUNG)]}
    group = _placed(one.image, region or whole, shared)
    if one.further:  # the observer of the document is the model in service
        group[0].ContentSequence.extend(observers(profile, [one.analysis.model]))
    if one.positive and (kind := likelier_kind(one.analysis)):
        group[0].ContentSequence.append(_impression(profile, one.analysis, kind))
    return group


def _placed(image: Image, region: ImageRegion | None, shared: dict[str, Any]) -> Group:
    """The group with its region on the image, or with the image alone."""
    if region is not None:
        return PlanarROIMeasurementsAndQualitativeEvaluations(**shared, referenced_region=region)
    source = SourceImageForMeasurementGroup(image.facts.sop_class_uid, image.facts.sop_instance_uid)
    return MeasurementsAndQualitativeEvaluations(**shared, source_images=[source])


def _evaluations(one: Judged, *, explained: bool) -> list[QualitativeEvaluation]:
    """Image quality, where it is known, and how the region was come by."""
    quality = one.image.source.quality
    found = [QualitativeEvaluation(codes.IMAGE_QUALITY, codes.QUALITIES[quality])] if quality else []
    if explained:
        found.append(QualitativeEvaluation(codes.VISUAL_EXPLANATION, explanation_code(one.analysis.explanation)))
    return found


def _study_items(report: StudyReport, judged: Sequence[Judged]) -> list[ContentItem]:
    """How the run went (CID 6047), and how urgent it makes the study (CID 7035)."""
    profile = report.profile
    tier = profile.cutoffs.tier(report.leading.probability)
    items = [(codes.RUN_STATUS, run_status(report, judged))]
    if tier in profile.triage_category:
        items.append((codes.PRIORITY, codes.TRIAGE[profile.triage_category[tier]]))
    return [CodeContentItem(name, value, RelationshipTypeValues.CONTAINS) for name, value in items]


def _impression(profile: Profile, analysis: Analysis, kind: str) -> CodeContentItem:
    """The likelier kind of the finding, with its own certainty as a property of it."""
    code, probability = finding_code(analysis, kind, profile.language), analysis.probabilities[kind]
    impression = CodeContentItem(codes.IMPRESSION, code, RelationshipTypeValues.CONTAINS)
    name = codes.CERTAINTY_OF_IMPRESSION if profile.prevalence is None else codes.PROBABILITY
    number = NumContentItem(
        name, cut(probability, 2), codes.PERCENT, relationship_type=RelationshipTypeValues.HAS_PROPERTIES
    )
    impression.ContentSequence = ContentSequence([number])
    return impression


def _certainty(profile: Profile, probability: float) -> Measurement:
    """The model's output: a probability only where the site has said how common the finding is there."""
    name = codes.CERTAINTY if profile.prevalence is None else codes.PROBABILITY
    return Measurement(name=name, value=cut(probability, 2), unit=codes.PERCENT)


def _tracking(profile: Profile, one: Judged, sentence: str, *, whole: bool) -> TrackingIdentifier:
    analysis, said = one.analysis, profile.language
    name = finding_code(analysis, analysis.finding, said).meaning
    text = language.sentence(sentence, said, finding=name, number=one.image.number)
    if whole:
        text += ", " + language.sentence("group.whole_image", said)
    subject = one.image.facts.sop_instance_uid
    return TrackingIdentifier(identity.tracking_uid(profile.uid_root, analysis.model, subject, analysis.finding), text)


def _region(one: Judged) -> ImageRegion | None:
    """The part of the film with the most evidence; a planar group has one region."""
    facts = one.image.facts
    if not facts.rows or not facts.columns:
        return None
    parts = outlines(one.analysis.activation, facts.rows, facts.columns)
    return _polyline(one.image, begun_for_words(parts[0], facts.rows, facts.columns)) if parts else None


def _whole(image: Image) -> ImageRegion | None:
    """The edge of the film, from low on its left side on: there OHIF writes what the group says, on the film."""
    rows, columns = image.facts.rows, image.facts.columns
    if not rows or not columns:
        return None
    words = [(0, rows * 0.88), (0, rows * 0.86)]
    corners = [*words, (0, 0), (columns, 0), (columns, rows), (0, rows), words[0]]
    return _polyline(image, np.array(corners, dtype=np.float32))


def _polyline(image: Image, points: Any) -> ImageRegion:
    source = SourceImageForRegion(image.facts.sop_class_uid, image.facts.sop_instance_uid)
    return ImageRegion(GraphicTypeValues.POLYLINE, points, source)


def _algorithm(one: Judged) -> AlgorithmIdentification:
    """The model build, and in one text the settings that its output was read with (TID 4019)."""
    return AlgorithmIdentification(
        name=one.analysis.model.name,
        version=one.analysis.model.version,
        manufacturer=MANUFACTURER,
        parameters=[parameters(one)],
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )
