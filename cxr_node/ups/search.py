"""Looking for workitems: ranked as the worklist is read, and matched against the keys of a query."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cxr_node.domain.clock import Clock
from cxr_node.domain.dicom_json import Attributes, first
from cxr_node.domain.finding import Tier
from cxr_node.domain.matching import matches
from cxr_node.domain.priority import Place, Policy, Priority, group, sort_key
from cxr_node.domain.reading_step import Rank, describe
from cxr_node.domain.workitem import State, wished_priority
from cxr_node.store import workitems
from cxr_node.store.db import Row, Store, Tx

_AT_ONCE: Final = 50  # workitems that are read together: what the first answer waits for
_STATE: Final = "00741000"
_OPEN: Final = (State.SCHEDULED, State.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Every workitem that may be asked for, first to be read first; `ranks` of those that are open, by their number."""

    sequences: Sequence[int]
    ranks: dict[int, Rank]


@dataclass(frozen=True, slots=True)
class Search:
    """`policy` is asked in each transaction: the kill switch may have been used. `archive` as in `Step`."""

    store: Store
    policy: Callable[[Tx], Policy]
    clock: Clock
    archive: str

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
        ranks = {} if State(row["state"]).final else self.rank(tx, closed=False).ranks
        return describe(workitems.step_of(tx, row, ranks.get(row["sequence"]), self.archive))

    def rank(self, tx: Tx, *, closed: bool) -> Ranked:
        """The reading order as it is now."""
        policy, now = self.policy(tx), self.clock()
        rows = workitems.to_rank(tx, closed=closed)
        places = [(_place(row), row) for row in rows if row["state"] in _OPEN]
        ordered = sorted((sort_key(place, policy, now), row["sequence"], place) for place, row in places)
        ranks = {
            int(sequence): Rank(position, group(place, policy, now), now)
            for position, (_, sequence, place) in enumerate(ordered, start=1)
        }
        final = sorted((row["sequence"] for row in rows if row["state"] not in _OPEN), reverse=True)
        return Ranked([*ranks, *final], ranks)

    def _described(self, sequences: Sequence[int], ranked: Ranked) -> list[Attributes]:
        """Of those that are there still, in their order."""
        with self.store.reading() as tx:
            rows = workitems.of_sequence(tx, sequences)
            return [
                describe(workitems.step_of(tx, rows[number], ranked.ranks.get(number), self.archive))
                for number in sequences
                if number in rows
            ]


def _place(row: Row) -> Place:
    """A study as it stands in the worklist; of what a peer created for another one, what it wishes."""
    if row["listed"]:
        wished = Priority(row["priority"]) if row["priority"] else None
        return Place(row["uid"], row["received_at"], Tier(row["tier"]), wished)
    return Place(row["uid"], row["received_at"], Tier.NONE, wished_priority(workitems.said_of(row)))
