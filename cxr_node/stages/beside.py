"""Models beside the one in service: films judged by several of them, each decoded once for all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cxr_node.domain.finding import Analysis
from cxr_node.domain.job import Job
from cxr_node.domain.quality import Flag
from cxr_node.errors import CxrNodeError, Permanent
from cxr_node.imaging.film import prepare
from cxr_node.imaging.part10 import read_film
from cxr_node.imaging.pixels import Stored, decode
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.stages.stage import Commit, attempt
from cxr_node.store import assessments, events, results, studies
from cxr_node.store.db import Store, Tx

if TYPE_CHECKING:
    from cxr_node.inference.predictor import FilmPredictor, Prediction


@dataclass(frozen=True, slots=True)
class Film:
    """The decoded pixels of a film, its data set, and whether the gate found black for white in it."""

    pixels: Stored
    dataset: Dataset
    inverted: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """A model beside the one in service; `judge` as in `Analyse`."""

    predictor: "FilmPredictor"
    judge: "Callable[[Prediction], Analysis]"


@dataclass(frozen=True, slots=True)
class Bench:
    """The models that are there, by their digests, and where films are found."""

    store: Store
    spool: Spool
    beside: Mapping[str, Beside]

    def judge(
        self, jobs: Sequence[Job], commit: Callable[[Job, Analysis], Commit], missing: CxrNodeError
    ) -> Sequence[Commit | Exception]:
        """What came of jobs, each for the film that is its subject under the model that is its target.

        `commit` is what follows from a judgement, `missing` what comes of a job for a model that is not there.
        """
        films = {digest: attempt(self._film, digest) for digest in dict.fromkeys(job.subject for job in jobs)}
        outcomes: dict[int, Commit | Exception] = {}
        for model in dict.fromkeys(job.target for job in jobs):
            asked = [job for job in jobs if job.target == model]
            beside = self.beside.get(model)
            found = _judged(beside, [films[job.subject] for job in asked]) if beside else [missing] * len(asked)
            for job, one in zip(asked, found, strict=True):
                outcomes[job.id] = one if isinstance(one, Exception) else commit(job, one)
        return [outcomes[job.id] for job in jobs]

    def _film(self, digest: str) -> Film:
        with self.store.reading() as tx:
            stored = studies.by_digest(tx, digest)
            flagged = assessments.flags(tx, digest) or ()
        if stored is None:
            raise Permanent("INSTANCE_UNKNOWN", Message("the instance of this job is not in the database"))
        dataset = read_film(self.spool.path(stored.arrival.path))
        return Film(decode(dataset), dataset, Flag.INVERTED in flagged)


def keep(tx: Tx, event: str, job: Job, analysis: Analysis, now: float) -> None:
    """Store what a model beside the one in service says of the film that is a job's subject, and that it did."""
    results.save(tx, job.subject, analysis, now)
    events.append(
        tx, now, event, studies.study_of(tx, job.subject),
        digest=job.subject, model=analysis.model.name, version=analysis.model.version,
        finding=analysis.finding, probability=analysis.probability,
    )  # fmt: skip


def _judged(beside: Beside, films: Sequence[Film | Exception]) -> Sequence[Analysis | Exception]:
    """What a model says of films, or what came of them before."""
    loaded = [attempt(partial(_prepared, beside.predictor.manifest.size), film) for film in films]
    sound = [one for one in loaded if not isinstance(one, Exception)]
    predictions = iter(beside.predictor.predict(np.stack(sound)) if sound else ())
    return [one if isinstance(one, Exception) else attempt(beside.judge, next(predictions)) for one in loaded]


def _prepared(size: int, film: Film | Exception) -> NDArray[np.float32]:
    """The film as a network of this size sees it; raises what came of it before."""
    if isinstance(film, Exception):
        raise film
    prepared = prepare(film.pixels, film.dataset, size)
    return 1 - prepared if film.inverted else prepared
