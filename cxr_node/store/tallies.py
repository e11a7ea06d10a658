"""Counts that only grow, kept where they outlive a restart: what Prometheus calls counters and histograms."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cxr_node.store.db import Tx

BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the classes of a duration, in seconds; the last class has none."""
_MOST_LABELS: Final = 500  # of a metric whose labels come from outside
_OTHERS: Final = "others"


def add(tx: Tx, metric: str, label: str, amount: float = 1.0) -> None:
    """Count. Beyond 500 labels of a metric a new one counts as "others"."""
    if tx.execute("UPDATE tally SET value = value + ? WHERE metric = ? AND label = ?", (amount, metric, label)):
        return
    row = tx.row("SELECT count(*) AS n FROM tally WHERE metric = ?", (metric,))
    if row and row["n"] >= _MOST_LABELS and label != _OTHERS:
        add(tx, metric, _OTHERS, amount)
        return
    tx.execute("INSERT INTO tally (metric, label, value) VALUES (?, ?, ?)", (metric, label, amount))


def of(tx: Tx, metric: str) -> dict[str, float]:
    """By label: how much was counted."""
    rows = tx.rows("SELECT label, value FROM tally WHERE metric = ? ORDER BY label", (metric,))
    return {row["label"]: row["value"] for row in rows}


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took: a count for each class of `BOUNDS` and one beyond, and the sum in seconds."""

    counts: tuple[float, ...]
    total: float

    def cumulative(self) -> dict[str, float]:
        """By upper bound ("+Inf" for none): how many took so long or less, as Prometheus wants it."""
        names, sums = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"], 0.0
        found = {}
        for name, count in zip(names, self.counts, strict=True):
            sums += count
            found[name] = sums
        return found


def took(tx: Tx, kind: str, seconds: float) -> None:
    """Count how long a job of a kind took."""
    add(tx, "stage", f"{kind}/{bisect_left(BOUNDS, seconds)}")
    add(tx, "stage_seconds", kind, seconds)


def durations(tx: Tx) -> Mapping[str, Durations]:
    """By kind of job: how long they took."""
    counts: dict[str, list[float]] = {}
    for label, value in of(tx, "stage").items():
        kind, _, number = label.partition("/")
        counts.setdefault(kind, [0.0] * (len(BOUNDS) + 1))[int(number)] = value
    totals = of(tx, "stage_seconds")
    return {kind: Durations(tuple(found), totals.get(kind, 0.0)) for kind, found in counts.items()}
