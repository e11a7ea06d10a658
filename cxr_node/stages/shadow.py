"""shadow: other models judge what the one in service has judged; their results are stored, and nothing follows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cxr_node.domain.clock import Clock
from cxr_node.domain.finding import Analysis
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.quality import Flag
from cxr_node.errors import Ineligible, Permanent
from cxr_node.imaging.film import prepare
from cxr_node.imaging.part10 import read_film
from cxr_node.imaging.pixels import Stored, decode
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.stages.stage import Commit, Stage, attempt
from cxr_node.store import assessments, events, results, studies
from cxr_node.store.db import Store, Tx

if TYPE_CHECKING:
    from cxr_node.inference.predictor import Prediction, Predictor


@dataclass(frozen=True, slots=True)
class Film:
    """The decoded pixels of a film, its data set, and whether the gate found black for white in it."""

    pixels: Stored
    dataset: Dataset
    inverted: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """A model beside the one in service; `judge` as in `Analyse`."""

    predictor: "Predictor"
    judge: "Callable[[Prediction], Analysis]"


@dataclass(frozen=True, slots=True)
class Shadow(Stage):
    """Judges films in batches, each decoded once for all of `beside`, the models by their digests."""

    store: Store
    spool: Spool
    beside: Mapping[str, Beside]
    clock: Clock

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Commit | Exception]:
        films = {digest: attempt(self._film, digest) for digest in dict.fromkeys(job.subject for job in jobs)}
        outcomes: dict[int, Commit | Exception] = {}
        for model in dict.fromkeys(job.target for job in jobs):
            asked = [job for job in jobs if job.target == model]
            found = self._judged(model, asked, [films[job.subject] for job in asked])
            outcomes |= {job.id: outcome for job, outcome in zip(asked, found, strict=True)}
        return [outcomes[job.id] for job in jobs]

    def _film(self, digest: str) -> Film:
        with self.store.reading() as tx:
            stored = studies.by_digest(tx, digest)
            flagged = assessments.flags(tx, digest) or ()
        if stored is None:
            raise Permanent("INSTANCE_UNKNOWN", Message("the instance of this job is not in the database"))
        dataset = read_film(self.spool.path(stored.arrival.path))
        return Film(decode(dataset), dataset, Flag.INVERTED in flagged)

    def _judged(
        self, model: str, jobs: Sequence[Job], films: Sequence[Film | Exception]
    ) -> Sequence[Commit | Exception]:
        """What came of the films of jobs under one model."""
        beside = self.beside.get(model)
        if beside is None:
            return [
                Ineligible("MODEL_UNAVAILABLE", Message("this model is not there to judge beside the one in service"))
            ] * len(jobs)
        loaded = [attempt(partial(_prepared, beside.predictor.manifest.size), film) for film in films]
        sound = [one for one in loaded if not isinstance(one, Exception)]
        predictions = iter(beside.predictor.predict(np.stack(sound)) if sound else ())
        return [
            one if isinstance(one, Exception) else attempt(partial(self._commit, job, beside), next(predictions))
            for job, one in zip(jobs, loaded, strict=True)
        ]

    def _commit(self, job: Job, beside: Beside, prediction: "Prediction") -> Commit:
        analysis = beside.judge(prediction)
        now = self.clock()

        def commit(tx: Tx) -> Iterable[NewJob]:
            results.save(tx, job.subject, analysis, now)
            events.append(
                tx, now, "instance.shadowed", studies.study_of(tx, job.subject),
                digest=job.subject, model=analysis.model.name, version=analysis.model.version,
                finding=analysis.finding, probability=analysis.probability,
            )  # fmt: skip
            return ()

        return commit


def _prepared(size: int, film: Film | Exception) -> NDArray[np.float32]:
    """The film as a network of this size sees it; raises what came of it before."""
    if isinstance(film, Exception):
        raise film
    prepared = prepare(film.pixels, film.dataset, size)
    return 1 - prepared if film.inverted else prepared
