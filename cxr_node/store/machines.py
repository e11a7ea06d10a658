"""The X-ray machines that films come from, and whether one of them has gone silent."""

from dataclasses import dataclass
from typing import Final

from cxr_node.store.db import Tx

WEEK: Final = 7 * 86400.0
_WEEKS: Final = 4
_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that films came from in the past weeks.

    `last` and `first` in seconds since 1970 UTC. `expected`: how many films came, in the weeks before, at the hours in
    which none has come since the last one, on average; None for one that has not been known for a week.
    """

    name: str
    films: int
    first: float
    last: float
    expected: float | None


def known(tx: Tx, now: float) -> list[Machine]:
    """The machines that films came from in the past five weeks, the newest first; at most 100."""
    rows = tx.rows(
        """
        SELECT machine, count(*) AS films, max(received_at) AS last FROM instance
        WHERE received_at >= ? GROUP BY machine ORDER BY last DESC LIMIT ?
        """,
        (now - (_WEEKS + 1) * WEEK, _SHOWN),
    )
    return [_machine(tx, row["machine"], row["films"], row["last"], now) for row in rows]


def _machine(tx: Tx, name: str, films: int, last: float, now: float) -> Machine:
    row = tx.row("SELECT min(received_at) AS first FROM instance WHERE machine = ?", (name,))
    first = float(row["first"]) if row else last
    weeks = [week for week in range(1, _WEEKS + 1) if first <= last - week * WEEK]
    before = [_between(tx, name, last - week * WEEK, now - week * WEEK) for week in weeks if now - last < WEEK]
    if now - last >= WEEK:  # whole weeks: the rate of the weeks before it fell silent
        count = _between(tx, name, last - _WEEKS * WEEK, last + 1)
        span = min(_WEEKS * WEEK, max(last - first, WEEK))
        return Machine(name, films, first, last, count * (now - last) / span)
    return Machine(name, films, first, last, sum(before) / len(before) if before else None)


def _between(tx: Tx, name: str, start: float, end: float) -> int:
    row = tx.row(
        "SELECT count(*) AS n FROM instance WHERE machine = ? AND received_at > ? AND received_at <= ?",
        (name, start, end),
    )
    return int(row["n"]) if row else 0
