"""companions: what a site wants beside report and heat map: a page, a presentation state, a segmentation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cxr_node.documents import Document, StudyReport, build_pdf, build_presentation, build_segmentation
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.outputs import Companion, Target
from cxr_node.stages.assembly import Writing
from cxr_node.stages.stage import Commit
from cxr_node.store.db import Tx


@dataclass(frozen=True, slots=True)
class Companions(Writing):
    """Writes them for the most severe image of a revision; `companions`: by mode, which are wanted."""

    companions: Mapping[str, Sequence[Companion]]

    def run(self, job: Job) -> Commit:
        report, target = self.desk.assemble(job.subject, job.target), Target.parse(job.target)
        made = [self._build(kind, report) for kind in self.companions[target.mode]]
        written = [(document, self.desk.write(document)) for document in made if document]

        def commit(tx: Tx) -> Iterable[NewJob]:
            for document, path in written:
                names = self.desk.destinations.get(target.mode, ())
                if document.kind == "pdf":
                    names = [name for name in names if self.desk.tastes[name].pdf]
                yield from self.desk.put_away(tx, document, path, target, names)
            yield from self.desk.follow(tx, job)

        return commit

    def _build(self, kind: Companion, report: StudyReport) -> Document | None:
        """None where there is nothing to show."""
        source = report.leading_source
        if kind == "pr":
            return build_presentation(report, source)
        if kind == "seg":
            return build_segmentation(report, source)
        return build_pdf(report, source, self.desk.picture(source))
