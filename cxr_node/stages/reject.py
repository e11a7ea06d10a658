"""reject: tell a destination by a note which of the documents that it has do not stand any more."""

from collections.abc import Iterable
from dataclasses import dataclass

from cxr_node.documents import Document, build_rejection
from cxr_node.domain.clock import moment
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.outputs import Target
from cxr_node.domain.study import Judging
from cxr_node.errors import Permanent
from cxr_node.imaging.part10 import read_film_header
from cxr_node.message import Message
from cxr_node.stages.assembly import Desk, reference
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import events, retraction, withdrawal
from cxr_node.store.db import Tx
from cxr_node.store.retraction import Retracted


@dataclass(frozen=True, slots=True)
class Reject(SingleStage):
    """Compares what a destination has with what stands, and writes a note about the rest, one a revision.

    `judging` says which destinations want them.
    """

    desk: Desk
    judging: Judging

    def run(self, job: Job) -> Commit:
        study, destination = job.subject, job.target
        with self.desk.store.reading() as tx:
            found = retraction.outdated(tx, study, destination) if destination in self.judging.notes else []
            titles = {each.revision: withdrawal.title(tx, study, each.revision, self.judging) for each in found}
            at = retraction.since(tx, study)
        written = []
        for each in found:
            document = self._note(study, each, titles[each.revision], at)
            written.append((each, document, self.desk.write(document)))

        def commit(tx: Tx) -> Iterable[NewJob]:
            if found and retraction.outdated(tx, study, destination) != found:
                yield NewJob("reject", study, destination)  # what it was written about has changed meanwhile
                return
            for each, document, path in written:
                yield from self._put_away(tx, each, document, path, destination)

        return commit

    def _note(self, study: str, retracted: Retracted, title: str, at: float) -> Document:
        path = self.desk.spool.path(retracted.documents[0].path)
        if not path.is_file():
            raise Permanent(
                "FILE_MISSING", Message("the document's file {path} is not in the outbox any more", path=path.name)
            )
        report = self.desk.assemble(study, str(Target(retracted.revision, retracted.mode)))
        references = [reference(one) for one in retracted.documents]
        return build_rejection(report, read_film_header(path), references, title, moment(at))

    def _put_away(
        self, tx: Tx, retracted: Retracted, document: Document, path: str, destination: str
    ) -> Iterable[NewJob]:
        uids = [one.sop_instance_uid for one in retracted.documents]
        retraction.reject(tx, uids, destination, document.sop_instance_uid)
        events.append(
            tx, self.desk.clock(), "documents.rejected", document.study_instance_uid,
            destination=destination, note=document.sop_instance_uid, documents=uids, certain=retracted.certain,
        )  # fmt: skip
        yield from self.desk.put_away(tx, document, path, Target(retracted.revision, retracted.mode), [destination])
