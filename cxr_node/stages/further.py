"""further: other models judge what the one in service has judged, for the report; they move nothing in the worklist."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cxr_node.domain.clock import Clock
from cxr_node.domain.finding import Analysis
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.study import Waiting
from cxr_node.errors import Permanent
from cxr_node.message import Message
from cxr_node.stages.beside import Bench, keep
from cxr_node.stages.stage import Commit, Stage
from cxr_node.store import studies, windows
from cxr_node.store.db import Tx


@dataclass(frozen=True, slots=True)
class Further(Stage):
    """Judges films in batches; a study whose documents wait for that settles afterwards, whatever came of it."""

    bench: Bench
    waiting: Waiting
    clock: Clock

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Commit | Exception]:
        return self.bench.judge(jobs, self._commit, Permanent("MODEL_UNAVAILABLE", Message("the model is not there")))

    def abandoned(self, tx: Tx, job: Job) -> Iterable[NewJob]:
        return settle(tx, job.subject, self.waiting, self.clock())

    def _commit(self, job: Job, analysis: Analysis) -> Commit:
        now = self.clock()

        def commit(tx: Tx) -> Iterable[NewJob]:
            keep(tx, "instance.consulted", job, analysis, now)
            return settle(tx, job.subject, self.waiting, now)

        return commit


def settle(tx: Tx, digest: str, waiting: Waiting, now: float) -> list[NewJob]:
    """The documents of the film's study are due when the wait for further films ends, or now."""
    study = studies.study_of(tx, digest)
    due = windows.films_due(tx, study, waiting) if study else None
    return [NewJob("settle", study, not_before=max(due or now, now), only_sooner=True)] if study else []
