"""report: the structured report of a revision. It leaves before the heat map is drawn."""

from collections.abc import Iterable
from dataclasses import dataclass

from cxr_node.documents import build_report
from cxr_node.domain.job import Job, NewJob
from cxr_node.stages.assembly import Desk
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store.db import Tx


@dataclass(frozen=True, slots=True)
class Report(SingleStage):
    """Writes the SR. `heatmap_modes`: those in which a heat map follows."""

    desk: Desk
    heatmap_modes: frozenset[str]

    def run(self, job: Job) -> Commit:
        document = build_report(self.desk.assemble(job.subject, job.target))
        path = self.desk.write(document)
        follows = job.target.partition("/")[2] in self.heatmap_modes

        def commit(tx: Tx) -> Iterable[NewJob]:
            yield from self.desk.put_away(tx, document, path, job.target)
            if follows:
                yield NewJob("heatmap", job.subject, job.target)

        return commit
