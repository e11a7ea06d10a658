"""heatmap: the secondary capture of the most severe image of a revision."""

from collections.abc import Iterable
from dataclasses import dataclass

from cxr_node.documents import build_heatmap
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.outputs import Target
from cxr_node.stages.assembly import Writing
from cxr_node.stages.stage import Commit
from cxr_node.store.db import Tx


@dataclass(frozen=True, slots=True)
class Heatmap(Writing):
    """Draws the map over the picture that the analysis left."""

    def run(self, job: Job) -> Commit:
        report = self.desk.assemble(job.subject, job.target)
        document = build_heatmap(report, report.leading_source, self.desk.picture(report.leading_source))
        path = self.desk.write(document)

        def commit(tx: Tx) -> Iterable[NewJob]:
            target = Target.parse(job.target)
            yield from self.desk.put_away(tx, document, path, target, self.desk.destinations.get(target.mode, ()))
            yield from self.desk.follow(tx, job)

        return commit
