"""The worklist as it stands, read from the database once for all who look at it."""

import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cxr_node.domain.clock import Clock
from cxr_node.store import events
from cxr_node.store.db import Store

Entries = list[dict[str, Any]]
_NO_MOVES: Final = ("study.viewed", "worklist.viewed", "user.signed_in", "user.signed_out", "user.sign_in_failed")


@dataclass(frozen=True, slots=True)
class _Reading:
    sequence: int
    until: float
    entries: Entries
    text: bytes


class Board:
    """The entries in reading order. They are read again when anything has happened, or a study has become overdue."""

    def __init__(self, store: Store, entries: Callable[[bool], Entries], max_wait_seconds: float, clock: Clock) -> None:
        self._store, self._entries, self._max_wait, self._clock = store, entries, max_wait_seconds, clock
        self._locks = {closed: threading.Lock() for closed in (False, True)}
        self._read: dict[bool, _Reading] = {}

    def entries(self, *, closed: bool = False) -> Entries:
        """Not to be changed by whoever gets them. `closed`: also those that have left the list."""
        return self._current(closed).entries

    def text(self, *, closed: bool = False) -> bytes:
        """The same as JSON."""
        return self._current(closed).text

    def _current(self, closed: bool) -> _Reading:
        with self._locks[closed]:
            sequence, now = self._sequence(), self._clock()
            known = self._read.get(closed)
            if known is None or known.sequence != sequence or now >= known.until:
                found = self._entries(closed)
                text = json.dumps(found, ensure_ascii=False).encode()
                known = self._read[closed] = _Reading(sequence, self._next_overdue(found, now), found, text)
            return known

    def _sequence(self) -> int:
        """Taken before the entries are read: what happens meanwhile makes them be read again."""
        with self._store.reading() as tx:
            return events.last_besides(tx, _NO_MOVES)

    def _next_overdue(self, entries: Entries, now: float) -> float:
        times = (datetime.fromisoformat(entry["received_at"]).timestamp() + self._max_wait for entry in entries)
        return min((time for time in times if time > now), default=math.inf)
