"""lookup: what priority the RIS has given a study that came (Requested Procedure Priority (0040,1003))."""

from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cxr_node.dimse.orders import Order
from cxr_node.dimse.sender import Peer
from cxr_node.dimse.workitems import MODALITY_WORKLIST
from cxr_node.domain.clock import Clock
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.priority import REQUESTED, Priority, more_urgent
from cxr_node.domain.reading import Actor
from cxr_node.domain.study import EntryState
from cxr_node.errors import Permanent
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import events, reading, worklist
from cxr_node.store.db import Store, Tx


@dataclass(frozen=True, slots=True)
class Lookup(SingleStage):
    """Asks once a film of a study has come; nothing waits for it, and what a person set is never lowered.

    An entry under the same accession number that names another patient says nothing. `ris` is None where nobody is
    asked; `look_up` as in `dimse.orders`.
    """

    store: Store
    ris: Peer | None
    look_up: Callable[[Peer, str, Callable[[bytes, str], None]], list[Order]]
    clock: Clock

    def run(self, job: Job) -> Commit:
        if self.ris is None:
            raise Permanent("RIS_UNKNOWN", Message("[worklist] ris is gone from the configuration"))
        study, ris = job.subject, self.ris
        with self.store.reading() as tx:
            whose = worklist.whose(tx, study)
        accession = whose.get("accession_number") or ""
        found: list[Order] = []
        if accession and not set("*?\\") & set(accession):
            found = self.look_up(ris, accession, lambda query, syntax: self._queried(ris, study, query, syntax))
        wished: Priority | None = None
        for order in found:
            if order.accession == accession and order.patient_id in ("", whose.get("patient_id")):
                wished = more_urgent(wished, REQUESTED.get(order.priority.upper()))
        return lambda tx: self._prioritise(tx, study, wished, ris)

    def _queried(self, ris: Peer, study: str, query: bytes, syntax: str) -> None:
        """PS3.15 A.5.3.10"""
        with self.store.transaction() as tx:
            events.append(
                tx, self.clock(), "peer.queried", study,
                ae_title=ris.ae_title, host=ris.host, information_model_uid=MODALITY_WORKLIST,
                transfer_syntax_uid=syntax, identifier=b64encode(query).decode(),
            )  # fmt: skip

    def _prioritise(self, tx: Tx, study: str, wished: Priority | None, ris: Peer) -> Iterable[NewJob]:
        state = worklist.state(tx, study)
        if wished and state not in (None, EntryState.READ, EntryState.WITHDRAWN):
            stands = worklist.priority(tx, study)
            if (urgent := more_urgent(stands, wished)) != stands:
                reading.prioritise(tx, study, urgent, Actor(f"{ris.ae_title} (RIS)"), self.clock())
        return ()
