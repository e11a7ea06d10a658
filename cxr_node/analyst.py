"""Judging films in files: from a path to a result, a picture and documents, as the node does for what it receives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread

from cxr_node.documents import Document, Further, Lacking, Source, StudyReport, build_heatmap, build_report
from cxr_node.domain.clock import Clock, moment, system_clock
from cxr_node.domain.eligibility import judge
from cxr_node.domain.finding import Analysis, Tier
from cxr_node.domain.quality import LEAST_SIDE, Assessment, Flag, grade
from cxr_node.errors import CxrNodeError, Ineligible
from cxr_node.imaging import PICTURES, decode, prepare, prepare_grey, read_picture, render, resized
from cxr_node.imaging.digest import data_set_digest
from cxr_node.imaging.instance import read_instance
from cxr_node.imaging.part10 import read_complete, read_film
from cxr_node.inference.gate import admission
from cxr_node.inference.memory import keep_freed_memory
from cxr_node.inference.predictor import FilmPredictor, Prediction, analyse
from cxr_node.message import Message
from cxr_node.panel import draw_panel
from cxr_node.plan import Plan
from cxr_node.predicting import predictor_of
from cxr_node.profiles import profile_of
from cxr_node.stages.stage import attempt

State = Literal["analysed", "not_analysed", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one file, as results.json has it; the files that were written are relative to its folder.

    `not_analysed` is a sound film that is not one for the model, `error` a file that could not be judged. `finding` is
    None when not positive; `probability` (0..1) is that of the finding that sets the severity, whatever its value.
    `flags` are what the gate says of the pixels; `further` is what further models say of the film, or why they do not.
    """

    file: str
    state: State
    reason: str | None = None
    positive: bool | None = None
    threshold: float
    finding: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    tier: str = Tier.NONE.value
    flags: tuple[Flag, ...] = ()
    further: tuple[dict[str, Any], ...] = ()
    model: str
    version: str
    picture: str | None = None
    sr: str | None = None
    sc: str | None = None


@dataclass(frozen=True, slots=True)
class _Film:
    """A film that the model may judge: as the network sees it, and as people do (rows, columns), 0 black to 255 white.

    `seen` gives it as a network of another size sees it. `header` is the data set without its pixels; None for a
    picture file, which says nothing of a patient.
    """

    path: Path
    name: str
    prepared: NDArray[np.float32]
    seen: Callable[[int], NDArray[np.float32]]
    shown: NDArray[np.uint8]
    header: Dataset | None
    assessment: Assessment | None

    @property
    def flags(self) -> tuple[Flag, ...] | None:
        """What the gate flagged; None where none looked at the film."""
        return self.assessment.flags if self.assessment else None


class Analyst:
    """A model, those beside it for the report, and the folder that their results go to.

    `lacking` says by name why further models judge nothing. Raises ConfigError and Permanent as `Predictor` does.
    """

    def __init__(self, plan: Plan, out: Path, clock: Clock = system_clock) -> None:
        self._plan, self._out, self._clock = plan, out, clock
        self._rules, self._profile = plan.rules(), profile_of(plan, "shadow")  # for research, whatever the node may do
        keep_freed_memory()
        self._predictor = predictor_of(plan.config, plan.manifest)
        self._admit = admission(plan.gate())
        self._beside: list[FilmPredictor] = []
        self.lacking = dict(plan.lineup.missing)
        for model in plan.further:
            try:
                self._beside.append(predictor_of(plan.config, model))
            except CxrNodeError as error:
                self.lacking[model.called] = error.message

    def judge(self, batch: Sequence[tuple[Path, str]]) -> list[Result]:
        """The results of files, each given with the name of what is written for it; they are predicted together."""
        loaded = [attempt(self._load, one) for one in batch]
        films = [film for film in loaded if isinstance(film, _Film)]
        predictions = iter(self._predictor.predict(np.stack([film.prepared for film in films])) if films else ())
        beside = iter(self._consult(films))
        outcomes = [
            attempt(self._finish, (film, next(predictions), next(beside))) if isinstance(film, _Film) else film
            for film in loaded
        ]
        return [
            outcome if isinstance(outcome, Result) else self._without(path, outcome)
            for (path, _), outcome in zip(batch, outcomes, strict=True)
        ]

    def _consult(self, films: Sequence[_Film]) -> list[tuple[Further, ...]]:
        """What further models say of each film."""
        said: list[list[Further]] = [[] for _ in films]
        for predictor in self._beside if films else ():
            model = predictor.manifest
            judging = self._plan.judging_of(model)
            predictions = predictor.predict(np.stack([film.seen(model.size) for film in films]))
            for each, prediction in zip(said, predictions, strict=True):
                analysis = analyse(model, prediction, judging.prevalence)
                each.append(Further(analysis, judging.cutoffs, judging.prevalence, judging.restricted))
        return [tuple(each) for each in said]

    def _load(self, one: tuple[Path, str]) -> _Film:
        """Raises Ineligible with the reason where it is not a film for the model, Permanent where it cannot be read."""
        path, name = one
        size = self._plan.manifest.size
        if path.suffix.lower() in PICTURES:
            grey = read_picture(path)
            if grey.min() == grey.max():
                raise Ineligible(
                    "BLANK", Message("Every pixel of the picture has the value {value}.", value=grey.min())
                )
            prepared, assessment = self._admit(prepare_grey(grey, max(size, LEAST_SIDE)))
            inverted = assessment is not None and assessment.inverted
            seen = _seen(lambda side: prepare_grey(grey, side), inverted=inverted)
            return _Film(path, name, resized(prepared, size), seen, 255 - grey if inverted else grey, None, assessment)
        header = read_complete(path)
        if refusal := judge(read_instance(header), self._rules):
            raise Ineligible(refusal.code, refusal.reason)
        dataset = read_film(path)
        pixels = decode(dataset)
        prepared, assessment = self._admit(prepare(pixels, dataset, max(size, LEAST_SIDE)))
        inverted = assessment is not None and assessment.inverted
        shown = render(pixels, dataset, inverted=inverted)
        seen = _seen(lambda side: prepare(pixels, dataset, side), inverted=inverted)
        return _Film(path, name, resized(prepared, size), seen, shown, header, assessment)

    def _finish(self, judged: tuple[_Film, Prediction, tuple[Further, ...]]) -> Result:
        """Write what belongs to an analysed film."""
        film, prediction, further = judged
        analysis = analyse(self._plan.manifest, prediction, self._plan.prevalence_of(self._plan.manifest))
        picture = self._out / f"{film.name}.png"
        panel = draw_panel(film.shown, analysis, film.path.name, self._profile, flags=film.flags or (), further=further)
        Image.fromarray(panel).save(picture)
        positive = analysis.probability >= self._profile.cutoffs.threshold
        return self._result(
            film.path,
            state="analysed",
            positive=positive,
            finding=analysis.finding if positive else None,
            probability=analysis.probability,
            probabilities=analysis.probabilities,
            tier=self._profile.cutoffs.tier(analysis.probability).value,
            flags=film.flags or (),
            further=(*map(_said, further), *(_unsaid(name, reason) for name, reason in self.lacking.items())),
            picture=picture.name,
            **self._documents(film, analysis, further),
        )

    def _documents(self, film: _Film, analysis: Analysis, further: tuple[Further, ...]) -> dict[str, str]:
        """By kind, the files of the documents of a DICOM film; a picture file has none."""
        if film.header is None:
            return {}
        received = moment(film.path.stat().st_mtime)
        missing = Message("the model is not there")
        source = Source(
            film.header, data_set_digest(film.path), received, analysis, grade(film.flags), flags=film.flags or (),
            further=further, lacking=tuple(Lacking(name.replace(":", " "), missing) for name in self.lacking),
        )  # fmt: skip
        report = StudyReport((source,), self._profile, 1, moment(self._clock()))
        documents = (build_report(report), build_heatmap(report, source, film.shown))
        return {each.kind: _put_away(each, self._out / f"{film.name}.{each.kind}.dcm") for each in documents}

    def _without(self, path: Path, failure: Exception) -> Result:
        state: State = "not_analysed" if isinstance(failure, Ineligible) else "error"
        return self._result(path, state=state, reason=_sentence(failure))

    def _result(self, path: Path, **known: Any) -> Result:
        identity, cutoffs = self._plan.manifest.identity, self._profile.cutoffs
        return Result(
            file=str(path), threshold=cutoffs.threshold, model=identity.name, version=identity.version, **known
        )


def _seen(prepared: Callable[[int], NDArray[np.float32]], *, inverted: bool) -> Callable[[int], NDArray[np.float32]]:
    """The film as a network of a size sees it, set right where it had black for white."""
    return lambda side: 1 - prepared(side) if inverted else prepared(side)


def _said(further: Further) -> dict[str, Any]:
    """What a further model says of a film, as results.json has it."""
    analysis, threshold = further.analysis, further.cutoffs.threshold
    positive = further.cutoffs.positive(analysis.probability)
    return {
        "model": analysis.model.name, "version": analysis.model.version, "reason": None, "positive": positive,
        "threshold": threshold, "finding": analysis.finding if positive else None,
        "probability": analysis.probability, "probabilities": analysis.probabilities,
    }  # fmt: skip


def _unsaid(called: str, reason: str) -> dict[str, Any]:
    """The same of a model that says nothing."""
    name, _, version = called.partition(":")
    nothing = dict.fromkeys(("positive", "threshold", "finding", "probability", "probabilities"))
    return {"model": name, "version": version or None, "reason": reason, **nothing}


def _put_away(document: Document, path: Path) -> str:
    """Write a document once: the same one, made again at another time, stays as it is. Its file name."""
    if not (path.is_file() and dcmread(path, stop_before_pixels=True).SOPInstanceUID == document.sop_instance_uid):
        path.write_bytes(document.content)
    return path.name


def _sentence(failure: Exception) -> str:
    """What may be shown: what libraries say of a film can quote its header (Law 7)."""
    if isinstance(failure, CxrNodeError):
        return failure.message
    if isinstance(failure, OSError) and failure.strerror:
        return f"{failure.strerror}: {failure.filename}" if failure.filename else failure.strerror
    return Message("internal error ({kind})", kind=type(failure).__name__)
