"""tell: report what happened to workitems to one of those who subscribed (PS3.4 CC.2.4)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from cxr_node.dimse.sender import NoContext, Peer
from cxr_node.domain.clock import Clock
from cxr_node.domain.job import Job, NewJob
from cxr_node.errors import Permanent, Transient
from cxr_node.message import Message
from cxr_node.stages.stage import Commit, SingleStage
from cxr_node.store import events, subscriptions
from cxr_node.store.db import Store, Tx
from cxr_node.store.subscriptions import Report

log = structlog.get_logger()

_AT_ONCE: Final = 50  # reports on one association; all of them in time for the lease, however slow the receiver


@dataclass(frozen=True, slots=True)
class Tell(SingleStage):
    """Tells in the order of events, at least once: what a receiver has answered is struck out at once.

    A report that the receiver refuses counts as told: it would refuse it again. `tell` gives each report's number and
    the receiver's status.
    """

    store: Store
    subscribers: Mapping[str, Peer]
    tell: Callable[[Peer, Sequence[Report]], Iterator[tuple[int, int]]]
    clock: Clock

    def run(self, job: Job) -> Commit:
        receiver = job.subject
        peer = self.subscribers.get(receiver)
        if peer is None:
            raise Permanent(
                "SUBSCRIBER_UNKNOWN",
                Message("no [[subscriber]] has the AE title {receiver!r} any more", receiver=receiver),
            )
        with self.store.reading() as tx:
            reports = subscriptions.waiting(tx, receiver, _AT_ONCE)
        if reports:
            try:
                self._tell(peer, receiver, reports)
            except NoContext as error:  # it is being set up, or called by mistake: its reports wait
                raise Transient(error.code, error.message) from error

        def commit(tx: Tx) -> Iterable[NewJob]:
            return [NewJob("tell", receiver)] if subscriptions.waiting(tx, receiver, 1) else ()

        return commit

    def _tell(self, peer: Peer, receiver: str, reports: Sequence[Report]) -> None:
        refused: dict[str, int] = {}
        try:
            for number, status in self.tell(peer, reports):
                with self.store.transaction() as tx:
                    subscriptions.told(tx, receiver, number)
                if status != 0x0000:
                    refused[f"0x{status:04X}"] = refused.get(f"0x{status:04X}", 0) + 1
        finally:
            if refused:
                log.warning("subscriber.refused", receiver=receiver, statuses=refused)
                with self.store.transaction() as tx:
                    events.append(tx, self.clock(), "subscriber.refused", None, receiver=receiver, statuses=refused)
