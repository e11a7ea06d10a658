"""confirm: may an X-ray machine delete what it sent? Only once the PACS holds it; what we hold does not count."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cxr_node.dimse.sender import Peer
from cxr_node.domain.clock import Clock
from cxr_node.domain.commitment import Held, Outcome, Reason, Reference, Reply
from cxr_node.domain.job import Job, NewJob
from cxr_node.errors import Permanent, Transient
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import commitments
from cxr_node.store.commitments import Asked
from cxr_node.store.db import Store, Tx

_LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Confirm(SingleStage):
    """Asks `archive` (None: gone from the configuration) by C-FIND, again and again until it holds every instance.

    After `patience` seconds the rest has failed. `inquire` as in `dimse.inquiry`.
    """

    store: Store
    archive: Peer | None
    inquire: Callable[[Peer, Sequence[Reference], None], Reply]
    patience: float
    clock: Clock

    def run(self, job: Job) -> Commit:
        with self.store.reading() as tx:
            asked = commitments.request(tx, job.target, job.subject)
        if asked is None:
            raise Permanent("REQUEST_UNKNOWN", Message("the request for commitment is not in the database"))
        until = asked.received_at + self.patience
        outcomes = self._outcomes(asked, last=self.clock() >= until)
        left = asked.outcomes.count(None) - len(outcomes)

        def commit(tx: Tx) -> Iterable[NewJob]:
            commitments.conclude(tx, job.target, job.subject, outcomes)
            if not left:
                return [NewJob("notify", job.subject, job.target)]
            now = self.clock()
            pause = min(_LONGEST_PAUSE, max(1.0, (now - asked.received_at) / 4))
            return [NewJob("confirm", job.subject, job.target, not_before=min(now + pause, max(until, now)))]

        return commit

    def _outcomes(self, asked: Asked, *, last: bool) -> list[Outcome]:
        """Of the open instances, those about which it is certain now; of all when there is no further try."""
        references = [one for one, outcome in zip(asked.references, asked.outcomes, strict=True) if outcome is None]
        missing: Reason | None = Reason.NO_SUCH_INSTANCE if last else None
        try:
            held = self._held(references)
        except Transient:
            if not last:
                raise
            held = None
        if held is None:
            return [Outcome(one, failure=Reason.PROCESSING_FAILURE) for one in references]
        found = [_outcome(one, held.get(one.sop_instance_uid), missing) for one in references]
        return [one for one in found if one is not None]

    def _held(self, references: Sequence[Reference]) -> Mapping[str, Held | None] | None:
        """What the archive holds; None when it cannot be asked."""
        if self.archive is None:
            return None
        return self.inquire(self.archive, references, None).held if references else {}


def _outcome(reference: Reference, held: Held | None, missing: Reason | None) -> Outcome | None:
    """Of one instance; `missing` is why it fails where the archive does not hold it, None when that may change."""
    if held is None:
        return Outcome(reference, failure=missing) if missing else None
    if held.sop_class_uid not in ("", reference.sop_class_uid):
        return Outcome(reference, failure=Reason.CLASS_CONFLICT)
    return Outcome(reference, held.retrieve_ae_title)
