"""notify: tell an X-ray machine what became of its request for commitment."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cxr_node.dimse.sender import Peer
from cxr_node.domain.clock import Clock
from cxr_node.domain.commitment import Outcome, by_outcome
from cxr_node.domain.job import Job, NewJob
from cxr_node.errors import Permanent
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import commitments, events
from cxr_node.store.db import Store, Tx


@dataclass(frozen=True, slots=True)
class Notify(SingleStage):
    """Reports on an association of our own, to the address that the configuration gives for the AE title that asked."""

    store: Store
    modalities: Mapping[str, Peer]
    notify: Callable[[Peer, str, Sequence[Outcome]], None]
    clock: Clock

    def run(self, job: Job) -> Commit:
        peer = self.modalities.get(job.target)
        if peer is None:
            raise Permanent(
                "MODALITY_UNKNOWN", Message("no [[modality]] has the AE title {target!r} any more", target=job.target)
            )
        with self.store.reading() as tx:
            asked = commitments.request(tx, job.target, job.subject)
        if asked is None:
            raise Permanent("REQUEST_UNKNOWN", Message("the request for commitment is not in the database"))
        outcomes = [outcome for outcome in asked.outcomes if outcome is not None]
        self.notify(peer, job.subject, outcomes)
        committed, failed = by_outcome(outcomes)

        def commit(tx: Tx) -> Iterable[NewJob]:
            now = self.clock()
            commitments.answered(tx, job.target, job.subject, now)
            events.append(
                tx, now, "commitment.answered", None, requester=job.target, transaction_uid=job.subject,
                committed=len(committed), failed=len(failed),
            )  # fmt: skip
            return ()

        return commit
