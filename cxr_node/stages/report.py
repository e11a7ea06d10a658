"""report: the structured report of a revision. It leaves before the heat map is drawn."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cxr_node.documents import build_report
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.outputs import Target
from cxr_node.stages.assembly import Writing
from cxr_node.stages.stage import Commit
from cxr_node.store.db import Tx


@dataclass(frozen=True, slots=True)
class Report(Writing):
    """Writes the SR: once for each form that a destination takes it in, or in the one form that the target names."""

    def run(self, job: Job) -> Commit:
        report, target = self.desk.assemble(job.subject, job.target), Target.parse(job.target)
        written = []
        for form, names in self.desk.forms(target).items():
            before = self.desk.predecessor(job.subject, target, form)
            document = build_report(replace(report, predecessor=before), form)
            written.append((document, self.desk.write(document), names))

        def commit(tx: Tx) -> Iterable[NewJob]:
            for document, path, names in written:
                yield from self.desk.put_away(tx, document, path, target, names)
            yield from self.desk.follow(tx, job)

        return commit
