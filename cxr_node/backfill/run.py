"""One pass over a source: what is done is not done again, what fails is told and goes on, and nobody else waits."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from cxr_node.errors import CxrNodeError, Permanent, Transient
from cxr_node.store import events, priors
from cxr_node.store.db import Store

log = structlog.get_logger()

_QUEUE = 50
"""Films that may wait to be analysed before more are fetched."""
_LOOK_SECONDS = 1.0
_TRIES = 3


class Skipped(Exception):
    """There is nothing to be taken of it; the sentence says why."""


class Source(Protocol):
    """Where films come from. `name` is what it is known by from one run to the next."""

    @property
    def name(self) -> str: ...

    def items(self) -> Iterator[str]:
        """What there is, in an order that is the same each time: files, or studies."""
        ...

    def study_of(self, item: str) -> str:
        """The Study Instance UID. Raises Skipped, or CxrNodeError."""
        ...

    def fetch(self, item: str) -> int:
        """Bring the films of one into the node; how many. Raises Skipped, Transient or Permanent."""
        ...


@dataclass
class Tally:
    """What became of a run."""

    films: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Backfill:
    """`per_minute` films at most; `reported`: the studies get documents as any other. `room` says whether there is disk
    for more. `progress` is called after each item. `sleep` and `monotonic` are the clock's."""

    store: Store
    per_minute: float
    reported: bool
    room: Callable[[], bool]
    progress: Callable[[Tally], None] = lambda _: None
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self, source: Source, limit: int | None = None) -> Tally:
        """Work through a source, or as far as `limit` items. Raises Permanent("DISK_WATERMARK") without room."""
        tally, began = Tally(), self.monotonic()
        with self.store.reading() as tx:
            ended = priors.ended(tx, source.name)
        for item in source.items():
            if item in ended:
                continue
            if limit is not None and tally.done + tally.skipped + tally.failed >= limit:
                break
            self._wait(tally, began)
            self._take(source, item, tally)
            self.progress(tally)
        with self.store.transaction() as tx:
            events.append(
                tx, self.clock(), "backfill.ended", None,
                source=source.name, films=tally.films, done=tally.done, skipped=tally.skipped, failed=tally.failed,
            )  # fmt: skip
        return tally

    def _wait(self, tally: Tally, began: float) -> None:
        """Until the rate allows more, and what was fetched is analysed but for a few."""
        if not self.room():
            raise Permanent("DISK_WATERMARK", "the disk is almost full; films that come by themselves need the rest")
        due = began + tally.films * 60 / self.per_minute
        if (ahead := due - self.monotonic()) > 0:
            self.sleep(ahead)
        while self._waiting() > _QUEUE:
            self.sleep(_LOOK_SECONDS)

    def _waiting(self) -> int:
        with self.store.reading() as tx:
            return priors.waiting(tx)

    def _take(self, source: Source, item: str, tally: Tally) -> None:
        try:
            tally.films += self._fetch(source, item)
        except Skipped as error:
            tally.skipped += 1
            self._end(source, item, "skipped", str(error))
        except CxrNodeError as error:
            tally.failed += 1
            tally.failures.append(f"{error.code}: {error.message}")
            log.warning("backfill.failed", code=error.code, reason=error.message)
            self._end(source, item, "failed", error.message)
        else:
            tally.done += 1
            self._end(source, item, "done", None)

    def _fetch(self, source: Source, item: str) -> int:
        study = source.study_of(item)
        with self.store.transaction() as tx:
            if priors.known(tx, study):
                raise Skipped("its study is here already")
            priors.expect(tx, study, reported=self.reported)
        try:
            return self._tried(source, item)
        finally:
            with self.store.transaction() as tx:
                priors.close(tx, study)

    def _tried(self, source: Source, item: str) -> int:
        for attempt in range(1, _TRIES):
            try:
                return source.fetch(item)
            except Transient as error:
                log.info("backfill.again", code=error.code, reason=error.message)
                self.sleep(2.0**attempt)
        return source.fetch(item)

    def _end(self, source: Source, item: str, state: str, reason: str | None) -> None:
        with self.store.transaction() as tx:
            priors.end(tx, source.name, item, state, reason=reason, now=self.clock())
