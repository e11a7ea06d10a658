"""A reading room as a queue: studies come, readers take the first of the worklist, and each is read to its end.

The order is the node's own (`cxr_node.domain.priority`). Whoever reads a study is not interrupted by a more urgent one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from itertools import pairwise

from cxr_node.domain.priority import Place, Policy, overdue, sort_key

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of every day, in seconds after midnight: 0 <= start < end <= 86400."""

    start: float = 0.0
    end: float = DAY

    @property
    def length(self) -> float:
        """In seconds."""
        return self.end - self.start

    def next_open(self, moment: float) -> float:
        """The first moment from this one on that lies in these hours; in seconds since the midnight of day 0."""
        day = math.floor(moment / DAY) * DAY
        if moment - day >= self.end:
            return day + DAY + self.start
        return max(moment, day + self.start)


ALL_DAY = Hours()


def read_all(
    studies: Sequence[tuple[Place, float]], policy: Policy, readers: int, hours: Hours = ALL_DAY
) -> list[float]:
    """When the reading of each study ends, in seconds as `Place.received_at` is.

    `studies`: what is known of each, and how long its reading takes (seconds), in the order of arrival. A reader who is
    free takes the first of what has come; in `hours` readings begin, and each goes on to its end.

    Raises:
        ValueError: there is no reader, or the studies are not in the order of arrival.
    """
    if readers < 1:
        raise ValueError("somebody must read: readers must be 1 or more")
    if any(later.received_at < place.received_at for (place, _), (later, _) in pairwise(studies)):
        raise ValueError("the studies are not in the order of arrival")
    queue = _Queue([place for place, _ in studies], policy)
    free = [-math.inf] * readers
    heapify(free)
    ends = [math.nan] * len(studies)
    now = -math.inf
    for _ in studies:
        now = hours.next_open(max(now, free[0], queue.next_arrival(now)))
        taken = queue.take(now)
        ends[taken] = now + studies[taken][1]
        heapreplace(free, ends[taken])
    return ends


class _Queue:
    """The worklist as time goes by. Time never goes back.

    A study's key changes once, when it becomes overdue; then it is put in again, and its old entry is passed over.
    """

    def __init__(self, places: Sequence[Place], policy: Policy) -> None:
        self._places = places
        self._policy = policy
        self._heap: list[tuple[tuple[int, float, str], int]] = []
        self._open = [True] * len(places)
        self._arrived = 0
        self._overdue = 0
        self._waiting = 0

    def next_arrival(self, now: float) -> float:
        """`now` where somebody waits, else when the next study comes."""
        return now if self._waiting else self._places[self._arrived].received_at

    def take(self, now: float) -> int:
        """The first of what has come by `now`, which leaves; as its number."""
        places, policy = self._places, self._policy
        while self._arrived < len(places) and places[self._arrived].received_at <= now:
            self._put(self._arrived, now)
            self._arrived += 1
            self._waiting += 1
        while self._overdue < self._arrived and overdue(places[self._overdue], policy, now):
            if self._open[self._overdue]:
                self._put(self._overdue, now)
            self._overdue += 1
        while not self._open[number := heappop(self._heap)[1]]:
            pass
        self._open[number] = False
        self._waiting -= 1
        return number

    def _put(self, number: int, now: float) -> None:
        heappush(self._heap, (sort_key(self._places[number], self._policy, now), number))
