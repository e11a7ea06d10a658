"""deliver: one document to one destination, as the bytes that stand in the outbox."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cxr_node.dimse.sender import Peer
from cxr_node.domain.clock import Clock
from cxr_node.domain.commitment import Terms
from cxr_node.domain.job import Job, NewJob
from cxr_node.errors import Permanent
from cxr_node.spool import Spool
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import events, results, worklist
from cxr_node.store.db import Store, Tx

_DUPLICATE = 0x0111  # the peer says that it has the instance already
_GATHERING_SECONDS = 0.5  # and up to the full second: what is sent at about the same time is asked for together


@dataclass(frozen=True, slots=True)
class Deliver(SingleStage):
    """Sends by C-STORE; `send` gives the peer's status or raises."""

    store: Store
    spool: Spool
    peers: Mapping[str, Peer]
    terms: Mapping[str, Terms]
    send: Callable[[Peer, Path], int]
    clock: Clock

    def run(self, job: Job) -> Commit:
        peer = self.peers.get(job.target)
        if peer is None:
            raise Permanent("DESTINATION_UNKNOWN", f"no [[destination]] is named {job.target!r} any more")
        with self.store.reading() as tx:
            document = results.document(tx, job.subject)
        if document is None:
            raise Permanent("DOCUMENT_UNKNOWN", "the document of this job is not in the database")
        path = self.spool.path(document.path)
        if not path.is_file():
            raise Permanent("FILE_MISSING", f"the document's file {path.name} is not in the outbox any more")
        status = self.send(peer, path)
        now = self.clock()

        def commit(tx: Tx) -> Iterable[NewJob]:
            results.delivered(tx, job.subject, job.target, now, status)
            events.append(
                tx, now, "document.sent", document.study_instance_uid,
                kind=document.kind, sop_instance_uid=job.subject, destination=job.target, status=f"0x{status:04X}",
                ae_title=peer.ae_title, host=peer.host, sop_class_uid=document.sop_class_uid,
                **worklist.identity(tx, document.study_instance_uid),
            )  # fmt: skip
            if self.terms[job.target].wanted != "off" or status == _DUPLICATE:
                yield NewJob("commit", job.subject, job.target, not_before=math.ceil(now + _GATHERING_SECONDS))

        return commit
