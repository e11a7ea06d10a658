"""key_objects: film and documents of a revision tied together for one destination, once it has got all of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from cxr_node.documents import build_key_objects
from cxr_node.domain.finding import Tier
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.outputs import Target
from cxr_node.stages.assembly import Desk, reference
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import results, worklist
from cxr_node.store.db import Tx


@dataclass(frozen=True, slots=True)
class KeyObjects(SingleStage):
    """Writes the Key Object Selection of what a destination has got.

    `promoted_alone`: of studies that the model promotes and of no others, so that their coming says so.
    """

    desk: Desk
    promoted_alone: bool = False

    def run(self, job: Job) -> Commit:
        with self.desk.store.reading() as tx:
            if self.promoted_alone and worklist.tier(tx, job.subject) is Tier.NONE:
                return lambda _: ()
        report, target = self.desk.assemble(job.subject, job.target), Target.parse(job.target)
        with self.desk.store.reading() as tx:
            sent = results.sent(tx, job.subject, target.revision, target.mode, target.destination)
        document = build_key_objects(report, [reference(one) for one in sent if one.kind not in ("ko", "rn")])
        path = self.desk.write(document)

        def commit(tx: Tx) -> Iterable[NewJob]:
            return self.desk.put_away(tx, document, path, target, [target.destination])

        return commit
