"""analyse: one film, one model, one judgement. The only stage that decodes pixels of films it does not know."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset

from cxr_node.domain.clock import Clock
from cxr_node.domain.finding import Analysis, Tier
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.quality import LEAST_SIDE, Assessment
from cxr_node.domain.study import Judging, Waiting
from cxr_node.errors import Permanent
from cxr_node.imaging.film import Prepared, prepare, render, resized
from cxr_node.imaging.part10 import read_film
from cxr_node.imaging.picture import encode_picture
from cxr_node.imaging.pixels import Stored, decode
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.stages.stage import Commit, Stage, attempt
from cxr_node.store import assessments, events, measures, priors, results, studies, windows, worklist
from cxr_node.store.db import Store, Tx

if TYPE_CHECKING:
    from cxr_node.inference.predictor import Prediction, Predictor


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A film of a job: its stored values, and as the gate sees it."""

    job: Job
    study: str
    dataset: Dataset
    pixels: Stored
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A film that the model is to judge, as it sees it; `drawn` is what comes of its picture, None when it is there."""

    job: Job
    study: str
    prepared: Prepared
    assessment: Assessment | None
    drawn: Future[Exception | None]


@dataclass(frozen=True, slots=True)
class Analyse(Stage):
    """Judges films in batches; `judge` turns a prediction into the node's terms at the site's prevalence.

    `further` are the digests of the models that judge the film too, afterwards, for the report, and `shadows` those
    of them that do so without consequence. `asked`: by tier, who is asked by HL7 for a priority as soon as a study is
    promoted to it. `admit` is the gate: it raises Ineligible, or gives the film as the model is to see it, and what it
    says of it.

    `decoders` threads decode and draw beside the network: it judges what is ready, and never waits for the whole batch.
    """

    store: Store
    spool: Spool
    predictor: "Predictor"
    admit: Callable[[Prepared], tuple[Prepared, Assessment | None]]
    judge: "Callable[[Prediction], Analysis]"
    judging: Judging
    waiting: Waiting
    further: Sequence[str]
    shadows: Sequence[str]
    asked: Mapping[Tier, Sequence[str]]
    decoders: int
    clock: Clock

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Commit | Exception]:
        judged: list[tuple[_Admitted, Prediction] | Exception] = []
        with ThreadPoolExecutor(self.decoders) as threads:
            rest = iter(jobs)
            loading = deque(threads.submit(attempt, self._decode, job) for job in islice(rest, 2 * self.decoders))
            while loading:
                ready = _ready(loading)
                admitted = [attempt(partial(self._admit, threads), one) for one in ready]
                loading.extend(threads.submit(attempt, self._decode, job) for job in islice(rest, len(ready)))
                judged += self._judged(admitted)
        return [one if isinstance(one, Exception) else attempt(self._commit, one) for one in judged]

    def _judged(
        self, admitted: Sequence[_Admitted | Exception]
    ) -> "Iterator[tuple[_Admitted, Prediction] | Exception]":
        films = [one.prepared for one in admitted if isinstance(one, _Admitted)]
        predictions = iter(self.predictor.predict(np.stack(films)) if films else ())
        return (one if isinstance(one, Exception) else (one, next(predictions)) for one in admitted)

    def abandoned(self, tx: Tx, job: Job) -> Iterable[NewJob]:
        study = studies.study_of(tx, job.subject)
        return follow(tx, study, self.judging, self.waiting, self.clock()) if study else ()

    def _decode(self, job: Job) -> _Decoded:
        with self.store.reading() as tx:
            stored = studies.by_digest(tx, job.subject)
        if stored is None:
            raise Permanent("INSTANCE_UNKNOWN", Message("the instance of this job is not in the database"))
        dataset = read_film(self.spool.path(stored.arrival.path))
        pixels = decode(dataset)
        prepared = prepare(pixels, dataset, max(self.predictor.manifest.size, LEAST_SIDE))
        return _Decoded(job, stored.arrival.header.study_instance_uid, dataset, pixels, prepared)

    def _admit(self, threads: ThreadPoolExecutor, film: _Decoded | Exception) -> _Admitted:
        """Raises what came of the film before, or that it is not one for the model."""
        if isinstance(film, Exception):
            raise film
        prepared, assessment = self.admit(film.prepared)
        inverted = assessment is not None and assessment.inverted
        drawn = threads.submit(attempt, partial(self._draw, inverted=inverted), film)
        return _Admitted(film.job, film.study, resized(prepared, self.predictor.manifest.size), assessment, drawn)

    def _draw(self, film: _Decoded, *, inverted: bool) -> None:
        shown = render(film.pixels, film.dataset, inverted=inverted)
        self.spool.write(self.spool.picture(film.job.subject), encode_picture(shown))

    def _commit(self, judged: "tuple[_Admitted, Prediction]") -> Commit:
        """Raises what came of the picture, which documents need."""
        loaded, prediction = judged
        if failure := loaded.drawn.result():
            raise failure
        analysis = self.judge(prediction)
        now = self.clock()

        def commit(tx: Tx) -> Iterable[NewJob]:
            results.save(tx, loaded.job.subject, analysis, now)
            assessments.save(tx, loaded.job.subject, loaded.assessment, now)
            measures.save(tx, loaded.job.subject, float(loaded.prepared.mean()), float(loaded.prepared.std()))
            events.append(
                tx, now, "instance.analysed", loaded.study,
                digest=loaded.job.subject, model=analysis.model.name, version=analysis.model.version,
                finding=analysis.finding, probability=analysis.probability,
                flags=list(loaded.assessment.flags) if loaded.assessment else [],
            )  # fmt: skip
            beside = [NewJob("further", loaded.job.subject, model) for model in self.further]
            beside += [NewJob("shadow", loaded.job.subject, model) for model in self.shadows]
            following = follow(tx, loaded.study, self.judging, self.waiting, now)
            tier = Tier.NONE if priors.marked(tx, loaded.study) else worklist.tier(tx, loaded.study)
            asking = [NewJob("announce", loaded.study, f"{tier}/{name}") for name in self.asked.get(tier, ())]
            return [*following, *asking, *beside]

        return commit


def _ready(loading: deque[Future[_Decoded | Exception]]) -> list[_Decoded | Exception]:
    """Take from the front what has come, and wait for the first."""
    found = [loading.popleft().result()]
    while loading and loading[0].done():
        found.append(loading.popleft().result())
    return found


def follow(tx: Tx, study: str, judging: Judging, waiting: Waiting, now: float) -> list[NewJob]:
    """What the end of an analysis means for its study: its place in the worklist now, and its documents when due."""
    worklist.refresh(tx, study, judging, now)
    due = windows.films_due(tx, study, waiting)
    return [NewJob("settle", study, not_before=max(due or now, now), only_sooner=True)]
