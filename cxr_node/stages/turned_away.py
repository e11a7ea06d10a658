"""The account of callers and messages that were refused: at once in the log, in the trail as soon as can be."""

import threading
from collections import deque

import structlog

from cxr_node.domain.clock import Clock
from cxr_node.domain.intake import Refusal
from cxr_node.errors import Transient
from cxr_node.store import events
from cxr_node.store.db import Store

log = structlog.get_logger()

_MOST_UNRECORDED = 1000  # the log has them all


class TurnedAway:
    """Takes note of refusals.

    A node turns callers away just when it has most to do, and its database may then be busy or its disk full: what
    could not be recorded is kept, with the time when it happened, until `record` finds the database ready.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._unrecorded = deque[tuple[float, Refusal]](maxlen=_MOST_UNRECORDED)
        self._lock = threading.Lock()

    def note(self, refusal: Refusal) -> None:
        """Log a refusal, and record it where the database can."""
        log.warning(
            refusal.event,
            address=refusal.address,
            calling=refusal.calling,
            reason=refusal.reason,
            times=refusal.times,
        )
        with self._lock:
            self._unrecorded.append((self._clock(), refusal))
        self.record()

    def record(self) -> None:
        """Record what is not recorded yet, oldest first."""
        with self._lock:
            waiting = list(self._unrecorded)
            self._unrecorded.clear()
        if not waiting:
            return
        try:
            with self._store.transaction() as tx:
                for when, one in waiting:
                    events.append(
                        tx, when, one.event, None,
                        address=one.address, calling=one.calling, reason=one.reason, times=one.times,
                    )  # fmt: skip
        except Transient:
            with self._lock:
                self._unrecorded = deque([*waiting, *self._unrecorded], _MOST_UNRECORDED)  # the newest stay
