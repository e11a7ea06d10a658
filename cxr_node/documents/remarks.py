"""What every form of the report says: which model judged which image how, and what is to be remarked on."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.sr.coding import Code

from cxr_node.documents import codes, language
from cxr_node.documents.library import Image
from cxr_node.documents.request import Profile, StudyReport
from cxr_node.documents.wording import percent
from cxr_node.domain.finding import Analysis, Cutoffs, tenths


@dataclass(frozen=True, slots=True)
class Judged:
    """One model's judgement of one image, by the cut-offs of that model."""

    image: Image
    analysis: Analysis
    cutoffs: Cutoffs

    @property
    def positive(self) -> bool:
        return self.cutoffs.positive(self.analysis.probability)


def judgements(report: StudyReport, images: Sequence[Image]) -> list[Judged]:
    """Those of the model in service, the most severe first, then those of further models."""
    cutoffs = report.profile.cutoffs
    own = [Judged(image, image.source.analysis, cutoffs) for image in images if image.source.analysis]
    own.sort(key=lambda one: -one.analysis.probability)
    return own + [Judged(image, each.analysis, each.cutoffs) for image in images for each in image.source.further]


def run_status(report: StudyReport, judged: Sequence[Judged]) -> Code:
    """Whether every image was analysed, and whether anything was found (CID 6047)."""
    complete = all(source.analysis for source in report.sources)
    return codes.RUN_STATUSES[complete, any(one.positive for one in judged)]


def remarks(report: StudyReport, images: Sequence[Image]) -> list[str]:
    """What is to be said of the study as a whole, of what has no group, and which revision this is."""
    judged = judgements(report, images)
    without_group = [one for one in judged if not one.positive] if any(one.positive for one in judged) else []
    texts = _summary(report, judged)
    for image in images:
        if image.source.analysis is None:
            why = "comment.pending" if image.source.pending else "comment.failed"
            texts.append(language.sentence(why, report.profile.language, number=image.number))
        texts += _flags(report, image)
        texts += [_below(report, one) for one in without_group if one.image is image]
    if report.corrected:
        texts.append(language.sentence("comment.corrected", report.profile.language))
    if report.revision > 1:
        texts.append(language.sentence("revision", report.profile.language, number=report.revision))
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


def _below(report: StudyReport, one: Judged) -> str:
    said, model = report.profile.language, one.analysis.model
    certainty = tenths(one.analysis.probability)
    if model == report.leading.model:
        return language.sentence("comment.below", said, number=one.image.number, percent=certainty)
    name = f"{model.name} {model.version}"
    return language.sentence("comment.below_model", said, number=one.image.number, percent=certainty, model=name)


def parameters(profile: Profile, one: Judged) -> str:
    """The settings that a model's output was read with, in one text."""

    def say(key: str, **values: object) -> str:
        return language.sentence(key, profile.language, **values)

    cuts = {name: percent(getattr(one.cutoffs, name)) for name in ("threshold", "medium", "high")}
    calibration = say("parameter.uncalibrated")
    if profile.prevalence is not None:
        calibration = say("parameter.prevalence", prevalence=percent(profile.prevalence))
    settings = [
        say("parameter.digest", digest=one.analysis.model.digest),
        say("parameter.cutoffs", **cuts),
        calibration,
        *([say("parameter.site", digest=one.analysis.calibration)] if one.analysis.calibration else []),
        say("parameter.intended_use", use=say("intended_use." + profile.mode)),
    ]
    return "; ".join(settings)
