"""Looking for workitems: ranked as the worklist is read, and matched against the keys of a query."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cxr_node.domain.clock import Clock
from cxr_node.domain.dicom_json import Attributes, first
from cxr_node.domain.finding import Tier
from cxr_node.domain.matching import matches
from cxr_node.domain.priority import Group, Place, Policy, Priority, sort_key
from cxr_node.domain.reading_step import Rank, describe
from cxr_node.domain.workitem import State, wished_priority
from cxr_node.store import events, workitems
from cxr_node.store.db import Row, Store, Tx

_AT_ONCE: Final = 50  # workitems that are read together: what the first answer waits for
_STATE: Final = "00741000"
_OPEN: Final = frozenset({"SCHEDULED", "IN PROGRESS"})


@dataclass(frozen=True, slots=True)
class Ranked:
    """Every workitem that may be asked for, by number, first to be read first.

    `groups` of those that are open, in the same order; `positions` from 1, by number. It holds until event `sequence`
    has a successor, or `until`, when a study becomes overdue (seconds since 1970 UTC).
    """

    sequences: Sequence[int]
    groups: Sequence[Group]
    positions: Mapping[int, int]
    sequence: int
    policy: Policy
    until: float

    def rank(self, number: int, now: float) -> Rank | None:
        """Where a workitem stands; None for one that is closed."""
        position = self.positions.get(number)
        return Rank(position, self.groups[position - 1], now) if position else None


class Ranking:
    """The order as it was last, kept as long as it holds: most queries come while nothing has happened."""

    def __init__(self) -> None:
        self._known: dict[bool, Ranked] = {}

    def current(self, tx: Tx, policy: Policy, now: float, *, closed: bool) -> Ranked:
        sequence, known = events.last(tx), self._known.get(closed)
        if known and known.sequence == sequence and known.policy == policy and now < known.until:
            return known
        ranked = self._known[closed] = _ranked(workitems.to_rank(tx, closed=closed), policy, now, sequence)
        return ranked


def _ranked(rows: Sequence[Row], policy: Policy, now: float, sequence: int) -> Ranked:
    waiting = [row for row in rows if row["state"] in _OPEN]
    ordered = sorted((sort_key(_place(row), policy, now), int(row["sequence"])) for row in waiting)
    numbers = [number for _, number in ordered]
    final = sorted((int(row["sequence"]) for row in rows if row["state"] not in _OPEN), reverse=True)
    overdue = (row["received_at"] + policy.max_wait_seconds for row in waiting)
    return Ranked(
        sequences=[*numbers, *final],
        groups=[Group(key[0]) for key, _ in ordered],
        positions={number: position for position, number in enumerate(numbers, start=1)},
        sequence=sequence,
        policy=policy,
        until=min((moment for moment in overdue if moment >= now), default=math.inf),
    )


@dataclass(frozen=True, slots=True)
class Search:
    """`policy` is asked in each transaction: the kill switch may have been used. `archive` as in `Step`."""

    store: Store
    policy: Callable[[Tx], Policy]
    clock: Clock
    archive: str
    ranking: Ranking

    def found(self, query: Attributes) -> Iterator[Attributes]:
        """What matches, in reading order; then what is closed, the newest first."""
        with self.store.reading() as tx:
            ranked = self.rank(tx, closed=first(query, _STATE) not in _OPEN)
        rest = iter(ranked.sequences)
        while chunk := list(islice(rest, _AT_ONCE)):
            for found in self._described(chunk, ranked):
                if matches(query, found):
                    yield found

    def one(self, tx: Tx, row: Row) -> Attributes:
        """All attributes of a workitem."""
        rank = None if State(row["state"]).final else self.rank(tx, closed=False).rank(row["sequence"], self.clock())
        return describe(workitems.step_of(tx, row, rank, self.archive))

    def rank(self, tx: Tx, *, closed: bool) -> Ranked:
        """The reading order as it is now."""
        return self.ranking.current(tx, self.policy(tx), self.clock(), closed=closed)

    def _described(self, sequences: Sequence[int], ranked: Ranked) -> list[Attributes]:
        """Of those that are there still, in their order."""
        now = self.clock()
        with self.store.reading() as tx:
            rows = workitems.of_sequence(tx, sequences)
            return [
                describe(workitems.step_of(tx, rows[number], ranked.rank(number, now), self.archive))
                for number in sequences
                if number in rows
            ]


def _place(row: Row) -> Place:
    """A study as it stands in the worklist; of what a peer created for another one, what it wishes."""
    if row["listed"]:
        wished = Priority(row["priority"]) if row["priority"] else None
        return Place(row["uid"], row["received_at"], Tier(row["tier"]), wished)
    return Place(row["uid"], row["received_at"], Tier.NONE, wished_priority(workitems.said_of(row)))
