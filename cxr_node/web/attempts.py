"""How often somebody tried to sign in and could not: after so many failures they wait."""

import math
import threading
from collections import OrderedDict

from cxr_node.domain.clock import Clock

_MOST_KEYS = 10_000


class Attempts:
    """Failures by key (an address, a name); `most` of them within `seconds` close the door for as long. Bounded."""

    def __init__(self, clock: Clock, most: int, seconds: float) -> None:
        self._clock, self._most, self._seconds = clock, most, seconds
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, *keys: str) -> int:
        """For how many seconds none of the keys may try; 0: they may."""
        with self._lock:
            return max(self._wait(key) for key in keys)

    def failed(self, *keys: str) -> None:
        with self._lock:
            for key in keys:
                self._failures[key] = [*self._recent(key), self._clock()][-self._most :]
                self._failures.move_to_end(key)
            while len(self._failures) > _MOST_KEYS:
                self._failures.popitem(last=False)

    def forget(self, *keys: str) -> None:
        with self._lock:
            for key in keys:
                self._failures.pop(key, None)

    def _recent(self, key: str) -> list[float]:
        now = self._clock()
        return [at for at in self._failures.get(key, ()) if 0 <= now - at < self._seconds]

    def _wait(self, key: str) -> int:
        recent = self._recent(key)
        if len(recent) < self._most:
            return 0
        return max(1, math.ceil(recent[0] + self._seconds - self._clock()))
