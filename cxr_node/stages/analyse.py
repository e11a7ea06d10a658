"""analyse: one film, one model, one judgement. The only stage that decodes pixels of films it does not know."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cxr_node.domain.clock import Clock
from cxr_node.domain.finding import Analysis, Tier
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.quality import LEAST_SIDE, Assessment
from cxr_node.domain.study import Judging, Waiting
from cxr_node.errors import Permanent
from cxr_node.imaging.film import Prepared, prepare, render, resized
from cxr_node.imaging.part10 import read_film
from cxr_node.imaging.picture import encode_picture
from cxr_node.imaging.pixels import decode
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.stages.stage import Commit, Stage, attempt
from cxr_node.store import assessments, events, measures, priors, results, studies, windows, worklist
from cxr_node.store.db import Store, Tx

if TYPE_CHECKING:
    from cxr_node.inference.predictor import Prediction, Predictor


@dataclass(frozen=True, slots=True)
class _Loaded:
    job: Job
    study: str
    prepared: Prepared
    assessment: Assessment | None


@dataclass(frozen=True, slots=True)
class Analyse(Stage):
    """Judges films in batches; `judge` turns a prediction into the node's terms at the site's prevalence.

    `further` are the digests of the models that judge the film too, afterwards, for the report, and `shadows` those
    of them that do so without consequence. `asked`: by tier, who is asked by HL7 for a priority as soon as a study is
    promoted to it. `admit` is the gate: it raises Ineligible, or gives the film as the model is to see it, and what it
    says of it.
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
    clock: Clock

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Commit | Exception]:
        loaded = [attempt(self._load, job) for job in jobs]
        films = [one.prepared for one in loaded if isinstance(one, _Loaded)]
        predictions = iter(self.predictor.predict(np.stack(films)) if films else ())
        return [
            attempt(partial(self._commit, one), next(predictions)) if isinstance(one, _Loaded) else one
            for one in loaded
        ]

    def abandoned(self, tx: Tx, job: Job) -> Iterable[NewJob]:
        study = studies.study_of(tx, job.subject)
        return follow(tx, study, self.judging, self.waiting, self.clock()) if study else ()

    def _load(self, job: Job) -> _Loaded:
        with self.store.reading() as tx:
            stored = studies.by_digest(tx, job.subject)
        if stored is None:
            raise Permanent("INSTANCE_UNKNOWN", Message("the instance of this job is not in the database"))
        dataset = read_film(self.spool.path(stored.arrival.path))
        pixels = decode(dataset)
        size = self.predictor.manifest.size
        prepared, assessment = self.admit(prepare(pixels, dataset, max(size, LEAST_SIDE)))
        shown = render(pixels, dataset, inverted=assessment is not None and assessment.inverted)
        self.spool.write(self.spool.picture(job.subject), encode_picture(shown))
        return _Loaded(job, stored.arrival.header.study_instance_uid, resized(prepared, size), assessment)

    def _commit(self, loaded: _Loaded, prediction: "Prediction") -> Commit:
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


def follow(tx: Tx, study: str, judging: Judging, waiting: Waiting, now: float) -> list[NewJob]:
    """What the end of an analysis means for its study: its place in the worklist now, and its documents when due."""
    worklist.refresh(tx, study, judging, now)
    due = windows.films_due(tx, study, waiting)
    return [NewJob("settle", study, not_before=max(due or now, now), only_sooner=True)]
