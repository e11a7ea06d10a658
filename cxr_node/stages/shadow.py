"""shadow: other models judge what the one in service has judged; their results are stored, and nothing follows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cxr_node.domain.clock import Clock
from cxr_node.domain.finding import Analysis
from cxr_node.domain.job import Job, NewJob
from cxr_node.errors import Ineligible
from cxr_node.message import Message
from cxr_node.stages.beside import Bench, keep
from cxr_node.stages.stage import Commit, Stage
from cxr_node.store.db import Tx


@dataclass(frozen=True, slots=True)
class Shadow(Stage):
    """Judges films in batches; a model that is not there is passed over."""

    bench: Bench
    clock: Clock

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Commit | Exception]:
        passed_over = Message("this model is not there to judge beside the one in service")
        return self.bench.judge(jobs, self._commit, Ineligible("MODEL_UNAVAILABLE", passed_over))

    def _commit(self, job: Job, analysis: Analysis) -> Commit:
        now = self.clock()

        def commit(tx: Tx) -> Iterable[NewJob]:
            keep(tx, "instance.shadowed", job, analysis, now)
            return ()

        return commit
