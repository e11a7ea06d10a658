"""The content tree of the report: TID 1500 Imaging Measurement Report (PS3.16)."""

from dataclasses import dataclass
from typing import Any

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageContentItem,
    ImageRegion,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from cxr_node.documents import codes, identity, language
from cxr_node.documents.envelope import MANUFACTURER
from cxr_node.documents.headers import ImageFacts
from cxr_node.documents.region import main_outline
from cxr_node.documents.request import Profile, Source, StudyReport
from cxr_node.documents.wording import explanation_code, finding_code, likelier_kind, percent
from cxr_node.domain.finding import Analysis, ModelIdentity, Tier

Group = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the report: what was asked, what its header says, and its number in the report, from 1."""

    source: Source
    facts: ImageFacts
    number: int


def build_content(report: StudyReport, images: list[Image], procedure: Code | None) -> Dataset:
    """The root container, in the language of the profile.

    Raises Permanent (DOCUMENT_CODE) for a finding or an explanation that has no code.
    """
    groups = [_summary(report, images)]
    for image in images:
        if image.source.analysis:
            groups += _image_groups(report.profile, image, image.source.analysis)
    tree = MeasurementReport(
        observation_context=_observers(report),
        procedure_reported=procedure or codes.RADIOGRAPHY,
        imaging_measurements=groups,
        title=codes.REPORT,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept.from_code(codes.LANGUAGES[report.profile.language])
        ),
    )
    root = tree[0]
    root.ContentSequence.insert(len(root.ContentSequence) - 1, _image_library(images))
    language.translate(root, report.profile.language)
    return root


def _observers(report: StudyReport) -> ObservationContext:
    """The model builds that judged, as devices (TID 1002, TID 1004)."""
    models = {analysis.model.digest: analysis.model for analysis in report.analyses}
    context = ObservationContext()
    for _, model in sorted(models.items()):
        attributes = DeviceObserverIdentifyingAttributes(
            uid=identity.device_uid(report.profile.uid_root, model),
            name=report.profile.station or MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=f"{model.name} {model.version}",
            serial_number=model.digest[:16],
        )
        context.extend(ObserverContext(dictionary.DCM.Device, attributes))
    return context


def _image_library(images: list[Image]) -> ContainerContentItem:
    """The images that were looked at (TID 1600), analysed or not."""
    group = _container(codes.IMAGE_LIBRARY_GROUP, [_library_entry(image.facts) for image in images])
    return _container(codes.IMAGE_LIBRARY, [group])


def _container(name: Code, items: list[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name=name, relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container


def _library_entry(facts: ImageFacts) -> ImageContentItem:
    """One image with what is known of it (TID 1601 to 1603)."""
    entry = ImageContentItem(
        name=codes.SOURCE,
        referenced_sop_class_uid=facts.sop_class_uid,
        referenced_sop_instance_uid=facts.sop_instance_uid,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    related = RelationshipTypeValues.HAS_ACQ_CONTEXT
    coded = [(codes.MODALITY, codes.MODALITIES.get(facts.modality)), (codes.IMAGE_VIEW, codes.VIEWS.get(facts.view))]
    descriptors: list[ContentItem] = [CodeContentItem(name, value, related) for name, value in coded if value]
    for name, count in ((codes.PIXEL_ROWS, facts.rows), (codes.PIXEL_COLUMNS, facts.columns)):
        if count is not None:
            item = NumContentItem(name, count, codes.PIXELS, relationship_type=related)
            item.MeasuredValueSequence[0].NumericValue = str(count)  # highdicom writes "1024.0"
            descriptors.append(item)
    if facts.orientation:
        for name, text in zip((codes.ORIENTATION_ROW, codes.ORIENTATION_COLUMN), facts.orientation, strict=True):
            descriptors.append(TextContentItem(name, text, related))
    if facts.spacing:
        for name, value in zip((codes.SPACING_VERTICAL, codes.SPACING_HORIZONTAL), facts.spacing, strict=True):
            descriptors.append(NumContentItem(name, value, codes.MILLIMETRE, relationship_type=related))
    entry.ContentSequence = ContentSequence(descriptors)
    return entry


def _summary(report: StudyReport, images: list[Image]) -> Group:
    """How the run went for the whole study, and how urgent it makes it (TID 1501)."""
    profile = report.profile
    tier = profile.cutoffs.tier(report.leading.probability)
    status = codes.RUN_STATUSES[all(source.analysis for source in report.sources), tier is not Tier.NONE]
    evaluations = [QualitativeEvaluation(codes.RUN_STATUS, status)]
    if tier in profile.triage_category:
        evaluations.append(QualitativeEvaluation(codes.PRIORITY, codes.TRIAGE[profile.triage_category[tier]]))
    name = language.sentence("group.summary", profile.language)
    if report.revision > 1:
        name += ", " + language.sentence("revision", profile.language, number=report.revision)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(
            profile, report.leading.model, images[0].facts.study_instance_uid, "summary", name
        ),
        algorithm_id=_algorithm(profile, report.leading.model),
        qualitative_evaluations=evaluations,
        source_images=[_measured(image) for image in images if image.source.analysis],
    )


def _image_groups(profile: Profile, image: Image, analysis: Analysis) -> list[Group]:
    """The finding in one image and its likelier kind; without a finding, no more than what the algorithm gave out."""
    if profile.cutoffs.tier(analysis.probability) is Tier.NONE:
        return [_output_group(profile, image, analysis)]
    groups = [_finding_group(profile, image, analysis)]
    if kind := likelier_kind(analysis):
        groups.append(_kind_group(profile, image, analysis, kind))
    return groups


def _finding_group(profile: Profile, image: Image, analysis: Analysis) -> Group:
    """The finding: with the outline of where the model looked (TID 1410) in full mode, else without (TID 1501)."""
    finding = finding_code(analysis.finding)
    name = language.sentence(
        "group.finding",
        profile.language,
        finding=language.named(finding, profile.language).meaning,
        number=image.number,
    )
    shared: dict[str, Any] = {
        "tracking_identifier": _tracking(profile, analysis.model, image.facts.sop_instance_uid, analysis.finding, name),
        "finding_type": finding,
        "finding_sites": [FindingSite(codes.LUNG)],
        "algorithm_id": _algorithm(profile, analysis.model),
        "measurements": [_certainty(profile, analysis.probability)],
    }
    region = _region(image, analysis) if profile.mode == "full" else None
    if region is None:
        return MeasurementsAndQualitativeEvaluations(
            **shared, qualitative_evaluations=_quality(image), source_images=[_measured(image)]
        )
    explanation = QualitativeEvaluation(codes.VISUAL_EXPLANATION, explanation_code(analysis.explanation))
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        **shared, qualitative_evaluations=[*_quality(image), explanation], referenced_region=region
    )


def _kind_group(profile: Profile, image: Image, analysis: Analysis, kind: str) -> Group:
    name = language.sentence("group.kind", profile.language, number=image.number)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(profile, analysis.model, image.facts.sop_instance_uid, "kind", name),
        finding_type=finding_code(kind),
        finding_sites=[FindingSite(codes.LUNG)],
        algorithm_id=_algorithm(profile, analysis.model),
        measurements=[_certainty(profile, analysis.probabilities[kind])],
        source_images=[_measured(image)],
    )


def _output_group(profile: Profile, image: Image, analysis: Analysis) -> Group:
    meaning = language.named(finding_code(analysis.finding), profile.language).meaning
    name = language.sentence("group.output", profile.language, finding=meaning.lower(), number=image.number)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(profile, analysis.model, image.facts.sop_instance_uid, "output", name),
        algorithm_id=_algorithm(profile, analysis.model),
        measurements=[_certainty(profile, analysis.probability)],
        qualitative_evaluations=_quality(image),
        source_images=[_measured(image)],
    )


def _certainty(profile: Profile, probability: float) -> Measurement:
    """The model's output in %: a probability only where the site has said how common the finding is there."""
    name = codes.CERTAINTY if profile.prevalence is None else codes.PROBABILITY
    return Measurement(name=name, value=round(100 * probability, 2), unit=codes.PERCENT)


def _quality(image: Image) -> list[QualitativeEvaluation]:
    quality = image.source.quality
    return [QualitativeEvaluation(codes.IMAGE_QUALITY, codes.QUALITIES[quality])] if quality else []


def _tracking(profile: Profile, model: ModelIdentity, subject_uid: str, what: str, name: str) -> TrackingIdentifier:
    return TrackingIdentifier(identity.tracking_uid(profile.uid_root, model, subject_uid, what), name)


def _measured(image: Image) -> SourceImageForMeasurementGroup:
    return SourceImageForMeasurementGroup(image.facts.sop_class_uid, image.facts.sop_instance_uid)


def _region(image: Image, analysis: Analysis) -> ImageRegion | None:
    facts = image.facts
    if not facts.rows or not facts.columns:
        return None
    outline = main_outline(analysis.activation, facts.rows, facts.columns)
    if outline is None:
        return None
    source = SourceImageForRegion(facts.sop_class_uid, facts.sop_instance_uid)
    return ImageRegion(GraphicTypeValues.POLYLINE, outline, source)


def _algorithm(profile: Profile, model: ModelIdentity) -> AlgorithmIdentification:
    """The model build, and in one text the settings that its output was read with (TID 4019)."""

    def say(key: str, **values: object) -> str:
        return language.sentence(key, profile.language, **values)

    cutoffs = profile.cutoffs
    settings = [
        say("parameter.digest", digest=model.digest),
        say(
            "parameter.cutoffs",
            threshold=percent(cutoffs.threshold),
            medium=percent(cutoffs.medium),
            high=percent(cutoffs.high),
        ),
        say("parameter.uncalibrated")
        if profile.prevalence is None
        else say("parameter.prevalence", prevalence=percent(profile.prevalence)),
        say("parameter.intended_use", use=say("intended_use." + profile.mode)),
    ]
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        manufacturer=MANUFACTURER,
        parameters=["; ".join(settings)],
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )
