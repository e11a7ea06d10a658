"""What a rejection note that comes by C-STORE does: recorded before it is answered, as films are (Law 2)."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cxr_node.domain.clock import Clock
from cxr_node.domain.intake import Received
from cxr_node.domain.study import Judging
from cxr_node.imaging.note import Note
from cxr_node.store import corrections, events, results, studies, withdrawal
from cxr_node.store.db import Store, Tx
from cxr_node.store.withdrawal import Withdrawn

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Notes:
    """Records what notes reject, whether it is here yet or not; `judging` and `pseudonym` as in `Receive`."""

    store: Store
    judging: Callable[[], Judging]
    clock: Clock
    pseudonym: Callable[[str], str]

    def take(self, note: Note, received: Received) -> None:
        with self.store.transaction() as tx:
            moved = self._record(tx, note, received)
        caller = {"title": note.title.value, "calling": received.calling_ae_title}
        log.info("note.received", instances=len(note.instances), studies=len(moved), **caller)
        for study, one in moved.items():
            if one is not None:
                counts = {"called_off": one.called_off, "delivered": one.delivered}
                log.warning(f"study.{one.state}", study=self.pseudonym(study), reason=one.reason, **counts, **caller)

    def _record(self, tx: Tx, note: Note, received: Received) -> dict[str, Withdrawn | None]:
        """What became of the studies of which something is rejected; of documents of ours nothing but a record."""
        now, by = self.clock(), received.calling_ae_title
        ours = {uid for uid in note.instances if results.document(tx, uid)}
        new = [
            corrections.reject(tx, uid, note.title, by, note=note.sop_instance_uid, now=now)
            for uid in note.instances
            if uid not in ours
        ]
        about = studies.of_instances(tx, note.instances)
        known = {"note": note.sop_instance_uid, "title": note.title, "calling": by, "address": received.address}
        counts = {"instances": len(note.instances), "new": sum(new), "documents": len(ours)}
        told: list[str | None] = [*about] or [None]
        for study in told:
            events.append(tx, now, "note.received", study, **known, **counts)
        return {study: withdrawal.follow(tx, study, self.judging(), now) for study in about}
