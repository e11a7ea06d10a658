"""Carries the audit trail to a target, in order and without loss, at its own pace.

How far a target has come stands in the database, and moves only after the messages were written. So a target that is
away gets everything when it is back, and what was under way when something died may come twice.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from cxr_node.audit.elements import Reporter
from cxr_node.audit.messages import Message, messages
from cxr_node.domain.clock import Clock
from cxr_node.errors import CxrNodeError
from cxr_node.store import events, trail
from cxr_node.store.db import Row, Store

log = structlog.get_logger()

_BATCH = 500
_YOUNG_SECONDS = 5.0  # events wait so long for others that are told with them
_POLL_SECONDS, _LONGEST_PAUSE = 2.0, 60.0


@dataclass
class Exporter:
    """One target's thread. `write` raises where it is not sure that the target has all of the messages."""

    store: Store
    target: str
    write: Callable[[Sequence[Message]], None]
    reporter: Reporter
    clock: Clock
    young: float = _YOUNG_SECONDS
    poll: float = _POLL_SECONDS
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"audit {self.target}", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Does not wait: what is under way will be sent again at the next start."""
        self._stopping.set()

    def turn(self) -> bool:
        """Export what is due next; whether there was something. Raises CxrNodeError."""
        with self.store.reading() as tx:
            page = events.page(tx, trail.cursor(tx, self.target) or 0, _BATCH)
        due = page if len(page) == _BATCH else self._grown(page)
        if not due:
            return False
        if told := messages(due, self.reporter):
            self.write(told)
        with self.store.transaction() as tx:
            trail.advance(tx, self.target, due[-1])
        return True

    def _grown(self, page: list[Row]) -> list[Row]:
        """The events before the first that is still young; one of the future was written before the clock was set."""
        now = self.clock()
        young = (place for place, row in enumerate(page) if 0 <= now - row["time"] < self.young)
        return page[: next(young, len(page))]

    def _run(self) -> None:
        pause, failing = 0.0, False
        while not self._stopping.wait(pause):
            try:
                pause = 0.0 if self.turn() else self.poll
            except CxrNodeError as error:
                if not failing:
                    log.warning("audit.waiting", target=self.target, code=error.code, reason=error.message)
                failing, pause = True, min(_LONGEST_PAUSE, max(self.poll, pause * 2))
            else:
                if failing:
                    log.info("audit.resumed", target=self.target)
                failing = False
