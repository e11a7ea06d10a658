"""analyse: one film, one model, one judgement. Nothing that follows from it waits for the film to be drawn."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cxr_node.domain.clock import Clock
from cxr_node.domain.finding import Analysis, Tier
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.quality import Assessment
from cxr_node.domain.study import Judging, Waiting
from cxr_node.errors import Permanent
from cxr_node.imaging.film import Prepared, resized
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, Stage, attempt
from cxr_node.store import assessments, events, measures, priors, results, studies, windows, worklist
from cxr_node.store.db import Store, Tx
from cxr_node.store.studies import Arrival

if TYPE_CHECKING:
    from cxr_node.inference.predictor import FilmPredictor, Prediction


Admission = tuple[Prepared, Assessment | None]
"""A film as the model is to see it, and what the gate says of it; None where there is no gate."""
Admit = Callable[[Prepared], Admission]
"""The gate, for a film as `prepare` gives it. Raises Ineligible where it is not one for the model."""
Develop = Callable[[Sequence[Arrival], Admit], Sequence[Admission | Exception]]
"""Decodes films, has each admitted, and leaves a picture in the spool of those that are, sooner or later."""


@dataclass(frozen=True, slots=True)
class _Film:
    job: Job
    study: str
    prepared: Prepared
    assessment: Assessment | None


@dataclass(frozen=True, slots=True)
class Analyse(Stage):
    """Judges films in batches; `judge` turns a prediction into the node's terms at the site's prevalence.

    `further` are the digests of the models that judge the film too, afterwards, for the report, and `shadows` those
    of them that do so without consequence. `asked`: by tier, who is asked by HL7 for a priority as soon as a study is
    promoted to it.
    """

    store: Store
    develop: Develop
    predictor: "FilmPredictor"
    admit: Admit
    judge: "Callable[[Prediction], Analysis]"
    judging: Judging
    waiting: Waiting
    further: Sequence[str]
    shadows: Sequence[str]
    asked: Mapping[Tier, Sequence[str]]
    clock: Clock

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Commit | Exception]:
        arrived = [attempt(self._arrival, job) for job in jobs]
        developed = iter(self.develop([one for one in arrived if isinstance(one, Arrival)], self.admit))
        films = [
            self._film(job, one, next(developed)) if isinstance(one, Arrival) else one
            for job, one in zip(jobs, arrived, strict=True)
        ]
        sound = [one.prepared for one in films if isinstance(one, _Film)]
        predictions = iter(self.predictor.predict(np.stack(sound)) if sound else ())
        return [
            attempt(partial(self._commit, one), next(predictions)) if isinstance(one, _Film) else one for one in films
        ]

    def abandoned(self, tx: Tx, job: Job) -> Iterable[NewJob]:
        study = studies.study_of(tx, job.subject)
        return follow(tx, study, self.judging, self.waiting, self.clock()) if study else ()

    def _arrival(self, job: Job) -> Arrival:
        with self.store.reading() as tx:
            stored = studies.by_digest(tx, job.subject)
        if stored is None:
            raise Permanent("INSTANCE_UNKNOWN", Message("the instance of this job is not in the database"))
        return stored.arrival

    def _film(self, job: Job, arrival: Arrival, admission: Admission | Exception) -> _Film | Exception:
        if isinstance(admission, Exception):
            return admission
        prepared, assessment = admission
        at_size = resized(prepared, self.predictor.manifest.size)
        return _Film(job, arrival.header.study_instance_uid, at_size, assessment)

    def _commit(self, film: _Film, prediction: "Prediction") -> Commit:
        analysis = self.judge(prediction)
        now = self.clock()

        def commit(tx: Tx) -> Iterable[NewJob]:
            results.save(tx, film.job.subject, analysis, now)
            assessments.save(tx, film.job.subject, film.assessment, now)
            measures.save(tx, film.job.subject, float(film.prepared.mean()), float(film.prepared.std()))
            events.append(
                tx, now, "instance.analysed", film.study,
                digest=film.job.subject, model=analysis.model.name, version=analysis.model.version,
                finding=analysis.finding, probability=analysis.probability,
                flags=list(film.assessment.flags) if film.assessment else [],
            )  # fmt: skip
            beside = [NewJob("further", film.job.subject, model) for model in self.further]
            beside += [NewJob("shadow", film.job.subject, model) for model in self.shadows]
            following = follow(tx, film.study, self.judging, self.waiting, now)
            tier = Tier.NONE if priors.marked(tx, film.study) else worklist.tier(tx, film.study)
            asking = [NewJob("announce", film.study, f"{tier}/{name}") for name in self.asked.get(tier, ())]
            return [*following, *asking, *beside]

        return commit


def follow(tx: Tx, study: str, judging: Judging, waiting: Waiting, now: float) -> list[NewJob]:
    """What the end of an analysis means for its study: its place in the worklist now, and its documents when due."""
    worklist.refresh(tx, study, judging, now)
    due = windows.films_due(tx, study, waiting)
    return [NewJob("settle", study, not_before=max(due or now, now), only_sooner=True)]
