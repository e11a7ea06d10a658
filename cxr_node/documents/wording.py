"""How results are put, the same in every document: codes for the model's terms, numbers for people."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pydicom.sr.coding import Code

from cxr_node.documents import codes, language
from cxr_node.documents.request import Further, Profile, StudyReport
from cxr_node.domain.finding import Analysis, Cutoffs, tenths
from cxr_node.domain.quality import Flag
from cxr_node.errors import Permanent
from cxr_node.locale import Language, translated
from cxr_node.locale.terms import FINDINGS
from cxr_node.message import Message


def finding_code(analysis: Analysis, name: str, spoken: Language) -> Code:
    """The code of an output of the model, the model's own or else ours, with its meaning in a language."""
    if own := analysis.terms.codes.get(name):
        return Code(own.value, own.scheme, own.meanings.get(spoken, own.meanings["en"]))
    if name not in codes.FINDINGS:
        raise Permanent(
            "DOCUMENT_CODE",
            Message("the finding {name!r} has no code, neither in the model nor in documents.codes", name=name),
        )
    return language.named(codes.FINDINGS[name], spoken)


def explanation_code(name: str) -> Code:
    if name not in codes.EXPLANATIONS:
        raise Permanent(
            "DOCUMENT_CODE",
            Message("the explanation {name!r} has no code in documents.codes (PS3.16 CID 217)", name=name),
        )
    return codes.EXPLANATIONS[name]


def positive(analysis: Analysis, cutoffs: Cutoffs) -> bool:
    """Whether the site reads the analysis as a finding, in whatever tier."""
    return cutoffs.positive(analysis.probability)


def likelier_kind(analysis: Analysis) -> str | None:
    """The class that the finding most likely is of, where the model tells kinds of it apart."""
    return _likeliest(analysis, analysis.terms.kinds)


def likeliest_other(analysis: Analysis) -> str | None:
    """The likeliest of the further findings that the model tells apart, where there are any."""
    return _likeliest(analysis, analysis.terms.others)


def _likeliest(analysis: Analysis, classes: Sequence[str]) -> str | None:
    return max(classes, key=analysis.probabilities.__getitem__, default=None)


def sure(profile: Profile, analysis: Analysis, output: str) -> str:
    """An output of the model and how sure it is of it: a probability only where the site has stated its prevalence."""
    share = analysis.probability if output == analysis.finding else analysis.probabilities[output]
    key = "picture.certainty" if profile.prevalence is None else "picture.probability"
    name = output_name(analysis, output, profile.language)
    return language.sentence(key, profile.language, finding=name, percent=tenths(share))


def headline(profile: Profile, analysis: Analysis) -> str:
    """The finding and how sure the model is of it."""
    return sure(profile, analysis, analysis.finding)


def lines(report: StudyReport, analysis: Analysis, *, region: bool) -> list[str]:
    """A result in a few lines, as pictures and pages have it: a headline, then what it rests on.

    `region` is whether a map is shown beside it; where it is not, that is said.
    """
    profile, said = report.profile, report.profile.language
    threshold = language.sentence("picture.threshold", said, threshold=percent(profile.cutoffs.threshold))
    threshold += "" if region else f", {language.sentence('picture.no_region', said)}"
    head = headline(profile, analysis)
    if not positive(analysis, profile.cutoffs):
        name, other = output_name(analysis, analysis.finding, said), likeliest_other(analysis)
        rest = sure(profile, analysis, other) if other else language.sentence("picture.nothing_else", said)
        found = [language.sentence("picture.negative", said, finding=name), f"{head} - {rest}", threshold]
    elif kind := likelier_kind(analysis):
        found = [head, sure(profile, analysis, kind), threshold]
    else:
        found = [head, threshold]
    return [*found, *_provenance(report, analysis)]


def _provenance(report: StudyReport, analysis: Analysis) -> list[str]:
    """Which model, when, and which revision."""
    model, said = analysis.model, report.profile.language
    build = {"model": model.name, "version": model.version, "digest": model.digest[:8]}
    moment = report.local_time.isoformat(sep=" ", timespec="minutes")
    time = language.sentence("picture.time", said, time=moment[:-6], offset=moment[-6:])
    revision = f" - {language.sentence('revision', said, number=report.revision)}" if report.revision > 1 else ""
    marked = [language.sentence("parameter.restricted", said)] if report.profile.restricted else []
    return [language.sentence("picture.model", said, **build), *marked, time + revision]


def output_name(analysis: Analysis, output: str, said: Language) -> str:
    """An output of the model in words: in the documents' where they have them."""
    if output in codes.FINDINGS or output in analysis.terms.codes:
        return finding_code(analysis, output, said).meaning
    return translated(FINDINGS.get(output, output.replace("_", " ").capitalize()), said)


def figures(profile: Profile, analysis: Analysis, outputs: Iterable[str]) -> list[tuple[str, str, float]]:
    """Outputs of the model: for each its name, its share in percent for people, and the share (0..1)."""
    shares = {**analysis.probabilities, analysis.finding: analysis.probability}
    return [(output_name(analysis, each, profile.language), tenths(shares[each]), shares[each]) for each in outputs]


def flagged(flags: Sequence[Flag], said: Language) -> str:
    """What the gate flagged of a film, in one line."""
    words = "; ".join(language.sentence(f"flag.{flag}", said) for flag in flags)
    return language.sentence("picture.flags", said, flags=words)


def consulted(profile: Profile, further: Further) -> str:
    """What a further model says, in one line."""
    said, model = profile.language, further.analysis.model
    read = replace(profile, prevalence=further.prevalence)
    known = {"model": f"{model.name} {model.version}", "finding": headline(read, further.analysis)}
    key = "picture.further" if further.cutoffs.positive(further.analysis.probability) else "picture.further_below"
    words = language.sentence(key, said, threshold=percent(further.cutoffs.threshold), **known)
    return f"{words} - {language.sentence('parameter.restricted', said)}" if further.restricted else words


def percent(fraction: float) -> str:
    """A fraction in percent, to a hundredth: 0.5 is 50, 0.9125 is 91.25."""
    return f"{100 * fraction:.2f}".rstrip("0").rstrip(".")
