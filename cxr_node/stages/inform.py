"""inform: bring a hub's worklist in step with this node's, study by study, in the order in which things happened.

And the other way: what a person asks for at the hub is given here, and told of as everything is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from cxr_node.domain import region, workitem
from cxr_node.domain.clock import Clock
from cxr_node.domain.dicom_json import Attributes
from cxr_node.domain.job import Job, NewJob
from cxr_node.domain.region import Asked, Decided
from cxr_node.domain.uid import UUID_ROOT, derive_uid
from cxr_node.domain.workitem import State
from cxr_node.errors import Permanent
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import asked, events, hub, workitems
from cxr_node.store.db import Row, Store, Tx

log = structlog.get_logger()

_AT_ONCE: Final = 50  # studies of one job: all of them in time for the lease, however slow the hub
_PERFORMED: Final = "00741216"


class Hub(Protocol):
    """The workitems of a hub. Each call raises Transient; Permanent where the hub does not take this workitem."""

    def look(self, uid: str) -> State | None:
        """In which state it stands there; None where it is not known."""
        ...

    def asked(self) -> Mapping[str, Asked]:
        """What is asked of this site there, by study."""
        ...

    def create(self, uid: str, said: Attributes) -> None: ...

    def update(self, uid: str, said: Attributes, transaction: str | None) -> None: ...

    def move(self, uid: str, state: State, transaction: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Inform(SingleStage):
    """The hub is looked at, and told what it lacks: what was told before a crash is found there, and not told twice.

    The trail of events is the outbox. While the hub is away it grows, and is told in its order when the hub is back.
    What is asked there is heeded where this job is concluded: whoever has lost its lease heeds nothing. The hub asks
    until it has heard how the study stands: what was heeded before, and is asked still, is told once more.
    """

    store: Store
    hub: Hub | None
    clock: Clock

    def run(self, job: Job) -> Commit:
        if self.hub is None:
            raise Permanent(
                "HUB_UNKNOWN", Message("no hub is told any more: [hub] url is not set, or the mode is shadow")
            )
        wanted = self.hub.asked()
        with self.store.reading() as tx:
            found, unheard = hub.next_up(tx, _AT_ONCE), asked.known(tx, wanted)
        for study in dict.fromkeys([*unheard[:_AT_ONCE], *(found.studies if found else ())]):
            try:
                self._bring(self.hub, study)
            except Permanent as error:
                log.warning("hub.refused", code=error.code, reason=error.message)
                with self.store.transaction() as tx:
                    events.append(tx, self.clock(), "hub.refused", study, reason=error.message)

        def commit(tx: Tx) -> Iterable[NewJob]:
            for study, one in wanted.items():
                asked.heed(tx, study, one, self.clock())
            if found is not None:
                hub.reached(tx, found)
            return [NewJob(job.kind, job.subject)] if hub.next_up(tx, 1) else ()

        return commit

    def _bring(self, to: Hub, study: str) -> None:
        with self.store.reading() as tx:
            entry, steps, decided = hub.entry_of(tx, study), hub.workitems_of(tx, study), asked.decided(tx, study)
        if entry is not None:
            for row in steps:
                _in_step(to, row, study, entry, decided)


def _in_step(to: Hub, row: Row, study: str, entry: Row, decided: Decided) -> None:
    """One workitem. What has ended, and the hub never knew of, is not worth telling."""
    uid, wanted = row["uid"], State(row["state"])
    transaction = derive_uid(UUID_ROOT, ["hub", uid])
    stands = to.look(uid)
    if stands is None:
        if wanted.final:
            return
        to.create(uid, region.offered(study, entry, decided))
        stands = State.SCHEDULED
    elif not stands.final:
        to.update(uid, region.changed(study, entry, decided), transaction if stands is State.IN_PROGRESS else None)
    for step in workitem.way(stands, wanted):
        if step is State.COMPLETED:
            to.update(uid, {_PERFORMED: workitems.said_of(row)[_PERFORMED]}, transaction)
        to.move(uid, step, transaction)
