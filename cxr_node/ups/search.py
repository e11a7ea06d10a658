"""Looking for workitems: ranked as the worklist is read, and matched against the keys of a query."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
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


Key = tuple[int, float, str]
"""What an open workitem is sorted by (`domain.priority.sort_key`)."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Every workitem that may be asked for, by number, first to be read first.

    `keys` of those that are open, in that order; `final`: those that are not; `positions` from 1, by number. It holds
    until event `sequence` has a successor, or `until`, when a study becomes overdue (seconds since 1970 UTC).
    """

    keys: Mapping[int, Key]
    final: frozenset[int]
    sequences: Sequence[int]
    positions: Mapping[int, int]
    sequence: int
    policy: Policy
    until: float

    def rank(self, number: int, now: float) -> Rank | None:
        """Where a workitem stands; None for one that is closed."""
        position = self.positions.get(number)
        return Rank(position, Group(self.keys[number][0]), now) if position else None


class Ranking:
    """The order as it was last, kept in step with the trail of events: only what something has happened to is read.

    All is read again when a study has become overdue, or the policy is another.
    """

    def __init__(self) -> None:
        self._known: dict[bool, Ranked] = {}

    def current(self, tx: Tx, policy: Policy, now: float, *, closed: bool) -> Ranked:
        sequence, known = events.last(tx), self._known.get(closed)
        if known and known.sequence <= sequence and known.policy == policy and now < known.until:
            changed = workitems.changed_since(tx, known.sequence) if known.sequence < sequence else frozenset()
            rows = workitems.to_rank(tx, closed=True, only=changed) if changed else []
        else:
            known, rows = (
                Ranked({}, frozenset(), [], {}, sequence, policy, math.inf),
                workitems.to_rank(tx, closed=closed),
            )
        ranked = _replaced(known, rows, now, closed) if rows else known
        self._known[closed] = ranked = replace(ranked, sequence=sequence)
        return ranked


def _replaced(known: Ranked, rows: Sequence[Row], now: float, closed: bool) -> Ranked:
    """The order with what was read now in the place of what was known of the same workitems."""
    policy = known.policy
    newer = {int(row["sequence"]): row for row in rows}
    keys = {number: key for number, key in known.keys.items() if number not in newer}
    opened = {number: row for number, row in newer.items() if row["state"] in _OPEN}
    keys |= {number: sort_key(_place(row), policy, now) for number, row in opened.items()}
    ordered = dict(sorted(keys.items(), key=itemgetter(1, 0)))
    final = known.final | (newer.keys() - opened.keys()) if closed else known.final
    overdue = (row["received_at"] + policy.max_wait_seconds for row in opened.values())
    until = min((moment for moment in overdue if moment >= now), default=math.inf)
    return Ranked(
        keys=ordered,
        final=final,
        sequences=[*ordered, *sorted(final, reverse=True)],
        positions={number: position for position, number in enumerate(ordered, start=1)},
        sequence=known.sequence,
        policy=policy,
        until=min(known.until, until),
    )


@dataclass(frozen=True, slots=True)
class Search:
    """`policy` is asked in each transaction: the kill switch may have been used. `archive` gives what `Step` has."""

    store: Store
    policy: Callable[[Tx], Policy]
    clock: Clock
    archive: Callable[[], str]
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
        return describe(workitems.step_of(tx, row, rank, self.archive()))

    def rank(self, tx: Tx, *, closed: bool) -> Ranked:
        """The reading order as it is now."""
        return self.ranking.current(tx, self.policy(tx), self.clock(), closed=closed)

    def _described(self, sequences: Sequence[int], ranked: Ranked) -> list[Attributes]:
        """Of those that are there still, in their order."""
        now, archive = self.clock(), self.archive()
        with self.store.reading() as tx:
            rows = workitems.of_sequence(tx, sequences)
            return [
                describe(workitems.step_of(tx, rows[number], ranked.rank(number, now), archive))
                for number in sequences
                if number in rows
            ]


def _place(row: Row) -> Place:
    """A study as it stands in the worklist; of what a peer created for another one, what it wishes."""
    if row["listed"]:
        wished = Priority(row["priority"]) if row["priority"] else None
        return Place(row["uid"], row["received_at"], Tier(row["tier"]), wished)
    return Place(row["uid"], row["received_at"], Tier.NONE, wished_priority(workitems.said_of(row)))
