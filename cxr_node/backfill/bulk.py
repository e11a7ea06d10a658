"""A pass over a place, into a table: what is in the table is not done again, and what comes is written as it comes."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import cxr_node
from cxr_node.backfill.places import Place
from cxr_node.backfill.record import Manifest
from cxr_node.backfill.table import FOLDER, Row, Table
from cxr_node.domain.clock import Clock, system_clock

Judged = Callable[[Sequence[str]], Iterable[Sequence[Row]]]
"""Gives a row for each film of a place, some at a time, in whatever order."""
_ROWS: Final = 5000
_SECONDS: Final = 5.0
"""A file of the table is written when so many films are done, or so much time has passed: what a kill costs at most."""


@dataclass
class Progress:
    """How far a run is: films of the place, those of them that were done `before`, that it is to do, and that are done.

    `seconds` since the first were, so that the start of workers is no part of the rate. `set_aside` and `left`, as in a
    `Row`, are among `done`; `codes` has why, by code.
    """

    found: int
    before: int
    todo: int
    done: int = 0
    set_aside: int = 0
    left: int = 0
    seconds: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)

    def count(self, rows: Sequence[Row], seconds: float) -> None:
        """These are done, too, so long after the first."""
        self.seconds = seconds
        self.done += len(rows)
        self.set_aside += sum(row.state == "set_aside" for row in rows)
        self.left += sum(row.state == "left" for row in rows)
        self.codes.update(row.code or "" for row in rows if row.state in ("set_aside", "left"))

    @property
    def rate(self) -> float:
        """Films per second; 0 where none is done."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds that the rest will take; None where nobody can tell yet."""
        return (self.todo - self.done) / self.rate if self.rate else None


@dataclass(frozen=True, slots=True)
class Bulk:
    """`progress` is called with each lot of films; `monotonic` is the clock's."""

    place: Place
    manifest: Manifest
    judged: Judged
    progress: Callable[[Progress], None] = lambda _: None
    clock: Clock = system_clock
    monotonic: Callable[[], float] = time.monotonic

    def run(self, limit: int | None = None) -> Progress:
        """Judge what is not in the table yet, or `limit` films of it.

        Raises as the place and `judged` do; what has come by then is in the table.
        """
        table = Table(self.manifest.folder / FOLDER)
        films = list(self.place.films())
        fresh = [film for film in films if film not in table.done]
        todo = fresh[:limit]
        progress = Progress(len(films), len(films) - len(fresh), len(todo))
        run = self.manifest.begin(self.clock(), cxr_node.__version__, len(films), table.counts)
        done = self._fill(table, run, todo, progress) if todo else 0
        self.manifest.end(self.clock(), done, progress.left, len(films), table.counts)
        return progress

    def _fill(self, table: Table, run: int, todo: Sequence[str], progress: Progress) -> int:
        """How many rows were written."""
        written, began = self.monotonic(), None
        lot: list[Row] = []
        done = 0
        try:
            for rows in self.judged(todo):
                lot += rows
                now = self.monotonic()
                began = now if began is None else began
                progress.count(rows, now - began)
                self.progress(progress)
                if len(lot) >= _ROWS or now - written >= _SECONDS:
                    done += table.add(lot, run)
                    lot, written = [], now
        finally:
            done += table.add(lot, run)
        return done
