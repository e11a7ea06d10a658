"""What every form of the report says: which model judged which image how, and what is to be remarked on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydicom.sr.coding import Code

from cxr_node.documents import codes, language
from cxr_node.documents.library import Image
from cxr_node.documents.request import Further, Profile, StudyReport
from cxr_node.documents.wording import likelier_kind, percent, sure
from cxr_node.domain.finding import Analysis, tenths
from cxr_node.locale import said as spoken


@dataclass(frozen=True, slots=True)
class Judged:
    """One model's judgement of one image; `profile` is the site's, with that model's cut-offs and prevalence.

    `further`: the model is not the one in service.
    """

    image: Image
    analysis: Analysis
    profile: Profile
    further: bool = False

    @property
    def positive(self) -> bool:
        return self.profile.cutoffs.positive(self.analysis.probability)

    @property
    def model(self) -> str:
        """The model for people."""
        return f"{self.analysis.model.name} {self.analysis.model.version}"


def judgements(report: StudyReport, images: Sequence[Image]) -> list[Judged]:
    """Those of the model in service, the most severe first, then those of further models."""
    profile = report.profile
    own = [Judged(image, image.source.analysis, profile) for image in images if image.source.analysis]
    own.sort(key=lambda one: -one.analysis.probability)
    return own + [
        Judged(image, each.analysis, _read(profile, each), further=True)
        for image in images
        for each in image.source.further
    ]


def _read(profile: Profile, further: Further) -> Profile:
    return replace(
        profile,
        cutoffs=further.cutoffs,
        prevalence=further.prevalence,
        restricted=further.restricted,
        triage_category={},
    )


def run_status(report: StudyReport, judged: Sequence[Judged]) -> Code:
    """Whether every image was analysed by every model, and whether anything was found (CID 6047)."""
    complete = all(source.analysis and not source.lacking for source in report.sources)
    return codes.RUN_STATUSES[complete, any(one.positive for one in judged)]


def remarks(report: StudyReport, images: Sequence[Image], judged: Sequence[Judged]) -> list[str]:
    """What is to be said beside what was `judged`: of the study, of images, and which revision this is."""
    texts = _summary(report, judged)
    for image in images:
        texts += _without(report, image)
        texts += _flags(report, image)
    restricted = dict.fromkeys(one.model for one in judged if one.profile.restricted)
    texts += [language.sentence("comment.restricted", report.profile.language, model=model) for model in restricted]
    if report.corrected:
        texts.append(language.sentence("comment.corrected", report.profile.language))
    if report.revision > 1:
        texts.append(language.sentence("revision", report.profile.language, number=report.revision))
    return texts


def _without(report: StudyReport, image: Image) -> list[str]:
    """Which models say nothing of an image, and why: the one in service, or further ones."""
    source, said, texts = image.source, report.profile.language, []
    if source.analysis is None:
        why = "comment.pending" if source.pending else "comment.failed_why" if source.failure else "comment.failed"
        texts.append(language.sentence(why, said, number=image.number, reason=spoken(source.failure or "", said)))
    for one in source.lacking:
        why = "comment.lacking" if one.reason else "comment.lacking_pending"
        reason = spoken(one.reason or "", said)
        texts.append(language.sentence(why, said, number=image.number, model=one.model, reason=reason))
    return texts


def _flags(report: StudyReport, image: Image) -> list[str]:
    """What the gate flagged of an image."""
    said = report.profile.language
    flags = [language.sentence(f"flag.{flag}", said) for flag in image.source.flags]
    return [language.sentence("comment.flag", said, number=image.number, flag=flag) for flag in flags]


def _summary(report: StudyReport, judged: Sequence[Judged]) -> list[str]:
    """Where several images were analysed: the highest output of the model in service, and which image it is of."""
    if len(report.analyses) < 2:
        return []
    highest = judged[0]
    certainty = tenths(highest.analysis.probability)
    number, count = highest.image.number, len(report.analyses)
    return [language.sentence("comment.study", report.profile.language, percent=certainty, number=number, count=count)]


def result(one: Judged) -> str:
    """What a model says of an image, in a sentence."""
    profile, analysis = one.profile, one.analysis
    sentences = [
        language.sentence(
            "text.finding" if one.positive else "text.output", profile.language, number=one.image.number,
            finding=sure(profile, analysis, analysis.finding),
            threshold=percent(profile.cutoffs.threshold), model=one.model,
        )
    ]  # fmt: skip
    if one.positive and (kind := likelier_kind(analysis)):
        sentences.append(language.sentence("text.kind", profile.language, kind=sure(profile, analysis, kind)))
    return " ".join(sentences)


def parameters(one: Judged) -> str:
    """The settings that a model's output was read with, in one text."""
    profile = one.profile

    def say(key: str, **values: object) -> str:
        return language.sentence(key, profile.language, **values)

    cuts = {name: percent(getattr(profile.cutoffs, name)) for name in ("threshold", "medium", "high")}
    calibration = say("parameter.uncalibrated")
    if profile.prevalence is not None:
        calibration = say("parameter.prevalence", prevalence=percent(profile.prevalence))
    settings = [
        say("parameter.digest", digest=one.analysis.model.digest),
        say("parameter.further" if one.further else "parameter.cutoffs", **cuts),
        calibration,
        *([say("parameter.site", digest=one.analysis.calibration)] if one.analysis.calibration else []),
        say("parameter.intended_use", use=say("intended_use." + profile.mode)),
        *([say("parameter.restricted")] if profile.restricted else []),
    ]
    return "; ".join(settings)
