"""deliver: one document to one destination, as the bytes that stand in the outbox."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_node.dimse.sender import LOST, NoContext, Peer
from cxr_node.domain.clock import Clock
from cxr_node.domain.commitment import Reference, Terms
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.outputs import Target, Taste
from cxr_node.domain.report_class import REPORT_CLASSES, ReportClass, next_classes
from cxr_node.errors import Permanent, Transient
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import events, report_classes, results, retraction, worklist
from cxr_node.store.db import Store, Tx
from cxr_node.store.results import Written

_DUPLICATE = 0x0111  # the peer says that it has the instance already
_GATHERING_SECONDS = 0.5  # and up to the full second: what is sent at about the same time is asked for together


@dataclass(frozen=True, slots=True)
class Deliver(SingleStage):
    """Sends by C-STORE; `send` gives the peer's status or raises.

    `accepted` says which SOP classes a peer takes. With `key_objects` the last document of a revision that a
    destination has got is followed by a selection of all of them. `notes`: the destinations that are told what does not
    stand any more, so that what they may have is on record before it leaves. `has`, where two nodes take turns: whether
    a peer says that it has a document that somebody began to send, and nobody knows how that ended. Then it stays so.
    """

    store: Store
    spool: Spool
    peers: Mapping[str, Peer]
    terms: Mapping[str, Terms]
    tastes: Mapping[str, Taste]
    send: Callable[[Peer, Path], int]
    accepted: Callable[[Peer, Sequence[str]], Sequence[str]]
    key_objects: bool
    notes: Collection[str]
    has: Callable[[Peer, Reference], bool] | None
    clock: Clock

    def run(self, job: Job) -> Commit:
        peer = self.peers.get(job.target)
        if peer is None:
            raise Permanent(
                "DESTINATION_UNKNOWN", Message("no [[destination]] is named {name!r} any more", name=job.target)
            )
        with self.store.reading() as tx:
            document = results.document(tx, job.subject)
        if document is None:
            raise Permanent("DOCUMENT_UNKNOWN", Message("the document of this job is not in the database"))
        path = self.spool.path(document.path)
        if not path.is_file():
            raise Permanent(
                "FILE_MISSING", Message("the document's file {path} is not in the outbox any more", path=path.name)
            )
        try:
            status = self._send(document, peer, path)
        except NoContext:
            if document.kind != "sr" or not (rest := next_classes(document.sop_class_uid)):
                raise
            return self._in_another_class(document, peer, rest)
        now = self.clock()

        def commit(tx: Tx) -> Iterable[NewJob]:
            results.delivered(tx, job.subject, job.target, now, status)
            events.append(
                tx, now, "document.sent", document.study_instance_uid,
                kind=document.kind, sop_instance_uid=job.subject, destination=job.target, status=f"0x{status:04X}",
                ae_title=peer.ae_title or peer.name, host=peer.host, sop_class_uid=document.sop_class_uid,
                **worklist.whose(tx, document.study_instance_uid),
            )  # fmt: skip
            if self.terms[job.target].wanted != "off" or status == _DUPLICATE:
                yield NewJob("commit", job.subject, job.target, not_before=math.ceil(now + _GATHERING_SECONDS))
            target = Target(document.revision, document.mode, destination=job.target)
            if (
                self.key_objects
                and document.kind not in ("ko", "rn")
                and results.all_sent(tx, document.study_instance_uid, target)
            ):
                yield NewJob("key_objects", document.study_instance_uid, str(target))

        return commit

    def _send(self, document: Written, peer: Peer, path: Path) -> int:
        """Where the peer is told what does not stand, or two nodes take turns, it is on record before that it may have
        the document."""
        told = peer.name in self.notes and document.kind != "rn"
        if self.has is None and not told:
            return self.send(peer, path)
        uid = document.sop_instance_uid
        with self.store.transaction() as tx:
            first = retraction.tried(tx, uid, peer.name, self.clock())
        if self.has is not None and not first and self.has(peer, _reference(document)):
            return _DUPLICATE
        try:
            return self.send(peer, path)
        except (Transient, Permanent) as error:
            if first and error.code not in LOST:  # others are answers, or come before the data are sent
                with self.store.transaction() as tx:
                    retraction.not_taken(tx, uid, peer.name)
            raise

    def _in_another_class(self, document: Written, peer: Peer, rest: Sequence[ReportClass]) -> Commit:
        """The report is written anew, in the first class that the peer accepts; which that is stays on record.

        Raises NoContext when it accepts none.
        """
        taken = self.accepted(peer, [REPORT_CLASSES[name] for name in rest])
        chosen = next(name for name in rest if REPORT_CLASSES[name] in taken)
        target = Target(document.revision, document.mode, chosen, peer.name)

        def commit(tx: Tx) -> Iterable[NewJob]:
            now = self.clock()
            wanted = self.tastes[peer.name].sr_class
            report_classes.record(tx, peer.name, wanted, chosen, now)
            results.drop_delivery(tx, document.sop_instance_uid, peer.name)
            events.append(
                tx, now, "report.class_refused", document.study_instance_uid,
                sop_instance_uid=document.sop_instance_uid, destination=peer.name,
                refused=document.sop_class_uid, instead=REPORT_CLASSES[chosen],
            )  # fmt: skip
            yield NewJob("report", document.study_instance_uid, str(target))

        return commit


def _reference(document: Written) -> Reference:
    return Reference(
        document.sop_class_uid, document.sop_instance_uid, document.study_instance_uid, document.series_instance_uid
    )
