"""heatmap: the secondary capture of the most severe image of a revision."""

from dataclasses import dataclass

from cxr_node.documents import build_heatmap
from cxr_node.domain.job import Job
from cxr_node.errors import Permanent
from cxr_node.imaging.film import read_picture
from cxr_node.spool import Spool
from cxr_node.stages.assembly import Desk
from cxr_node.stages.stage import Commit, SingleStage


@dataclass(frozen=True, slots=True)
class Heatmap(SingleStage):
    """Draws the map over the picture that the analysis left."""

    desk: Desk
    spool: Spool

    def run(self, job: Job) -> Commit:
        report = self.desk.assemble(job.subject, job.target)
        source = max(report.sources, key=lambda one: one.analysis.probability if one.analysis else -1.0)
        try:
            picture = read_picture(self.spool.picture(source.digest))
        except Permanent as error:
            raise Permanent(
                "PICTURE_MISSING", "the film's picture is gone; requeue the study to make it anew"
            ) from error
        document = build_heatmap(report, source, picture)
        path = self.desk.write(document)
        return lambda tx: self.desk.put_away(tx, document, path, job.target)
