"""The worklist as it stands, read from the database once for all who look at it."""

import json
import math
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

from cxr_node.domain.clock import Clock
from cxr_node.store import events, worklist
from cxr_node.store.db import Store
from cxr_node.store.worklist import Placed

Entries = list[dict[str, Any]]
Places = Callable[[bool, Collection[str] | None], list[Placed]]
_MOST_CHANGED: Final = 500


@dataclass(slots=True)
class _Reading:
    """What was read last: up to which event, by study, in order, and as JSON where somebody asked for that."""

    sequence: int = -1
    frozen: bool = False
    until: float = -math.inf
    places: dict[str, Placed] = field(default_factory=dict)
    entries: Entries = field(default_factory=list)
    text: bytes | None = None


class Board:
    """The entries in reading order, kept in step with the trail of events.

    Studies that something has happened to are read again; all of them when one has become overdue, or the kill switch
    was used. `places` gives the entries of all studies, or of those named.
    """

    def __init__(self, store: Store, places: Places, max_wait_seconds: float, clock: Clock) -> None:
        self._store, self._places, self._max_wait, self._clock = store, places, max_wait_seconds, clock
        self._locks = {closed: threading.Lock() for closed in (False, True)}
        self._readings = {closed: _Reading() for closed in (False, True)}

    def entries(self, *, closed: bool = False) -> Entries:
        """Not to be changed by whoever gets them. `closed`: also those that have left the list."""
        with self._locks[closed]:
            return self._current(closed).entries

    def text(self, *, closed: bool = False) -> bytes:
        """The same as JSON."""
        with self._locks[closed]:
            found = self._current(closed)
            if found.text is None:
                found.text = json.dumps(found.entries, ensure_ascii=False).encode()
            return found.text

    def entry(self, study: str) -> dict[str, Any] | None:
        """The entry of one study, in the list or not any more."""
        for closed in (False, True):
            if found := next((one for one in self.entries(closed=closed) if one["study_instance_uid"] == study), None):
                return found
        return None

    def _current(self, closed: bool) -> _Reading:
        known, now = self._readings[closed], self._clock()
        with self._store.reading() as tx:  # before the entries are read: what happens meanwhile is read next time
            sequence, frozen = events.last(tx), worklist.is_frozen(tx)
            changed = events.studies_since(tx, known.sequence) if 0 <= known.sequence < sequence else set()
        if known.sequence < 0 or frozen != known.frozen or now >= known.until or len(changed) > _MOST_CHANGED:
            known.until, known.frozen = math.inf, frozen
            self._replace(known, set(known.places), self._places(closed, None))
        elif changed:
            self._replace(known, changed, self._places(closed, changed))
        known.sequence = sequence
        return known

    def _replace(self, known: _Reading, studies: Collection[str], found: Collection[Placed]) -> None:
        """Put what was found in the place of what was known of these studies."""
        known.until = min(known.until, self._next_overdue(found))
        newer = {entry["study_instance_uid"]: (key, entry) for key, entry in found}
        if known.sequence >= 0 and newer == {uid: known.places[uid] for uid in studies if uid in known.places}:
            return
        for study in studies:
            known.places.pop(study, None)
        known.places.update(newer)
        known.entries, known.text = worklist.in_order(known.places.values()), None

    def _next_overdue(self, found: Collection[Placed]) -> float:
        now = self._clock()
        times = (key[2] + self._max_wait for key, _ in found)
        return min((time for time in times if time >= now), default=math.inf)
