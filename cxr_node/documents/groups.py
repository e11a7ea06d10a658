"""The measurement groups of the report (PS3.16 TID 1410 and TID 1501): what the model found in each image.

Where a finding has a region, every group has one: OHIF shows a report of which one group has none as a black pane, and
a validator takes the groups without a region for broken ones. So what holds for the study, and what is said of images
without a finding, is part of the group of the image that sets the tier, which comes first.
"""

from collections.abc import Sequence
from typing import Any

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
from cxr_node.documents.region import outlines
from cxr_node.documents.request import Profile, StudyReport
from cxr_node.documents.wording import explanation_code, finding_code, likelier_kind, percent, positive
from cxr_node.domain.finding import Analysis, cut, tenths

Group = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations


def measurement_groups(report: StudyReport, images: Sequence[Image]) -> list[Group]:
    """One group for each image with a finding; where none has one, a group for each with what the model gave out.

    Raises Permanent (DOCUMENT_CODE) for a finding or an explanation that has no code.
    """
    profile = report.profile
    analysed = [(image, image.source.analysis) for image in images if image.source.analysis]
    analysed.sort(key=lambda pair: -pair[1].probability)
    found = [pair for pair in analysed if positive(pair[1], profile.cutoffs)]
    groups = [_finding_group(profile, *pair) for pair in found] or [_output_group(profile, *pair) for pair in analysed]
    groups[0][0].ContentSequence.extend(_study_items(report))
    groups[0][0].ContentSequence.extend(_comments(report, images, {image.number for image, _ in found or analysed}))
    return groups


def _finding_group(profile: Profile, image: Image, analysis: Analysis) -> Group:
    """The finding in one image: in full mode with the outline of where the model looked (TID 1410), else TID 1501."""
    finding = finding_code(analysis, analysis.finding, profile.language)
    group = _group(
        image,
        region=_region(image, analysis) if profile.mode == "full" else None,
        explanation=analysis.explanation,
        tracking_identifier=_tracking(profile, image, analysis, "group.finding"),
        finding_type=finding,
        finding_sites=[FindingSite(codes.LUNG)],
        algorithm_id=_algorithm(profile, analysis),
        measurements=[_certainty(profile, analysis.probability)],
    )
    if kind := likelier_kind(analysis):
        group[0].ContentSequence.append(_impression(profile, analysis, kind))
    return group


def _group(image: Image, *, region: ImageRegion | None, explanation: str, **shared: Any) -> Group:
    evaluations = _quality(image)
    if region is None:
        source = SourceImageForMeasurementGroup(image.facts.sop_class_uid, image.facts.sop_instance_uid)
        return MeasurementsAndQualitativeEvaluations(
            **shared, qualitative_evaluations=evaluations, source_images=[source]
        )
    evaluations.append(QualitativeEvaluation(codes.VISUAL_EXPLANATION, explanation_code(explanation)))
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        **shared, qualitative_evaluations=evaluations, referenced_region=region
    )


def _output_group(profile: Profile, image: Image, analysis: Analysis) -> Group:
    """What the model gave out for an image without a finding: a measurement, and nothing that reads as a finding."""
    return _group(
        image,
        region=None,
        explanation=analysis.explanation,
        tracking_identifier=_tracking(profile, image, analysis, "group.output"),
        algorithm_id=_algorithm(profile, analysis),
        measurements=[_certainty(profile, analysis.probability)],
    )


def _study_items(report: StudyReport) -> list[ContentItem]:
    """How the run went (CID 6047), and how urgent it makes the study (CID 7035)."""
    profile = report.profile
    tier = profile.cutoffs.tier(report.leading.probability)
    complete = all(source.analysis for source in report.sources)
    status = codes.RUN_STATUSES[complete, positive(report.leading, profile.cutoffs)]
    items = [(codes.RUN_STATUS, status)]
    if tier in profile.triage_category:
        items.append((codes.PRIORITY, codes.TRIAGE[profile.triage_category[tier]]))
    return [CodeContentItem(name, value, RelationshipTypeValues.CONTAINS) for name, value in items]


def _comments(report: StudyReport, images: Sequence[Image], grouped: set[int]) -> list[ContentItem]:
    """What is to be said of the images that the gate flagged or that have no group, and which revision this is."""
    said = report.profile.language
    texts = []
    for image in images:
        flags = [language.sentence(f"flag.{flag}", said) for flag in image.source.flags]
        texts += [language.sentence("comment.flag", said, number=image.number, flag=flag) for flag in flags]
        analysis = image.source.analysis
        if analysis is None:
            why = "comment.pending" if image.source.pending else "comment.failed"
            texts.append(language.sentence(why, said, number=image.number))
        elif image.number not in grouped:
            certainty = tenths(analysis.probability)
            texts.append(language.sentence("comment.below", said, number=image.number, percent=certainty))
    if report.revision > 1:
        texts.append(language.sentence("revision", said, number=report.revision))
    return [TextContentItem(codes.COMMENT, text, RelationshipTypeValues.CONTAINS) for text in texts]


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


def _quality(image: Image) -> list[QualitativeEvaluation]:
    quality = image.source.quality
    return [QualitativeEvaluation(codes.IMAGE_QUALITY, codes.QUALITIES[quality])] if quality else []


def _tracking(profile: Profile, image: Image, analysis: Analysis, sentence: str) -> TrackingIdentifier:
    name = finding_code(analysis, analysis.finding, profile.language).meaning
    uid = identity.tracking_uid(profile.uid_root, analysis.model, image.facts.sop_instance_uid, analysis.finding)
    return TrackingIdentifier(uid, language.sentence(sentence, profile.language, finding=name, number=image.number))


def _region(image: Image, analysis: Analysis) -> ImageRegion | None:
    """The part of the film with the most evidence; a planar group has one region."""
    facts = image.facts
    if not facts.rows or not facts.columns:
        return None
    parts = outlines(analysis.activation, facts.rows, facts.columns)
    if not parts:
        return None
    source = SourceImageForRegion(facts.sop_class_uid, facts.sop_instance_uid)
    return ImageRegion(GraphicTypeValues.POLYLINE, parts[0], source)


def _algorithm(profile: Profile, analysis: Analysis) -> AlgorithmIdentification:
    """The model build, and in one text the settings that its output was read with (TID 4019)."""

    def say(key: str, **values: object) -> str:
        return language.sentence(key, profile.language, **values)

    model = analysis.model
    cuts = {name: percent(getattr(profile.cutoffs, name)) for name in ("threshold", "medium", "high")}
    calibration = say("parameter.uncalibrated")
    if profile.prevalence is not None:
        calibration = say("parameter.prevalence", prevalence=percent(profile.prevalence))
    settings = [
        say("parameter.digest", digest=model.digest),
        say("parameter.cutoffs", **cuts),
        calibration,
        *([say("parameter.site", digest=analysis.calibration)] if analysis.calibration else []),
        say("parameter.intended_use", use=say("intended_use." + profile.mode)),
    ]
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        manufacturer=MANUFACTURER,
        parameters=["; ".join(settings)],
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )
