"""What happens in the node, told to those who watch: server-sent events (WHATWG HTML 9.2).

One loop reads what is new in the trail of events, whoever watches; it is woken when the node works, and looks by itself
twice a second. Names and studies are told, no details: whoever wants them asks, and is asked who they are.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final

from starlette.concurrency import run_in_threadpool

from cxr_node.domain.clock import iso
from cxr_node.errors import Transient
from cxr_node.store import events
from cxr_node.store.db import Row, Store

_LOOK_SECONDS: Final = 0.5
_QUIET_SECONDS: Final = 15.0
_LONGEST_SECONDS: Final = 600.0
"""Then a watcher comes back, and is asked again who they are."""
_KEPT: Final = 2000
_PAGE: Final = 500
_NOT_TOLD: Final = ("audit.", "export.", "user.", "study.viewed", "worklist.viewed", "worklist.queried")


class Live:
    """The newest events, and those who wait for them. Lives in one event loop, that of `run`."""

    def __init__(self, store: Store, pseudonym: Callable[[str], str], look_seconds: float = _LOOK_SECONDS) -> None:
        self._store, self._pseudonym, self._look_seconds = store, pseudonym, look_seconds
        self._newest: deque[tuple[int, str]] = deque(maxlen=_KEPT)
        self._first = self._last = 0  # what came up to the first was never read here
        self._changed, self._bell = asyncio.Condition(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ring(self) -> None:
        """Something may have happened; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._bell.set)

    async def run(self) -> None:
        """Until it is cancelled."""
        self._loop = asyncio.get_running_loop()
        self._first = self._last = await run_in_threadpool(self._sequence)
        while True:
            with suppress(Transient):  # the database is busy: the next look finds it all
                await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._bell.wait()
            self._bell.clear()

    async def stream(self, after: int | None) -> AsyncIterator[str]:
        """Messages from sequence number `after` on, or (None) from now on; a comment where nothing happens."""
        seen = self._last if after is None else after
        end = asyncio.get_running_loop().time() + _LONGEST_SECONDS
        yield f"retry: 1000\nid: {seen}\n\n"
        while asyncio.get_running_loop().time() < end:
            if not self._oldest <= seen <= self._last:  # too long ago, or of a database that was put back since
                yield _message(self._last, {"sequence": self._last, "event": "missed"})
                seen = self._last
            for sequence, text in [one for one in self._newest if one[0] > seen]:
                yield text
                seen = sequence
            if not await self._wait(seen):
                yield ": quiet\n\n"

    @property
    def _oldest(self) -> int:
        """Whoever has seen what came up to this one can be told all the rest."""
        return self._newest[0][0] - 1 if len(self._newest) == _KEPT else self._first

    async def _wait(self, seen: int) -> bool:
        try:
            async with asyncio.timeout(_QUIET_SECONDS), self._changed:
                await self._changed.wait_for(lambda: bool(self._newest) and self._newest[-1][0] > seen)
        except TimeoutError:
            return False
        return True

    async def _look(self) -> None:
        while rows := await run_in_threadpool(self._page, self._last):
            told = [row for row in rows if not row["event"].startswith(_NOT_TOLD)]
            self._newest.extend((row["sequence"], self._told(row)) for row in told)
            self._last = rows[-1]["sequence"]
            if told:
                async with self._changed:
                    self._changed.notify_all()

    def _sequence(self) -> int:
        with self._store.reading() as tx:
            return events.last(tx)

    def _page(self, after: int) -> list[Row]:
        with self._store.reading() as tx:
            return events.page(tx, after, _PAGE)

    def _told(self, row: Row) -> str:
        study = row["study_instance_uid"]
        known = {"study_instance_uid": study, "study": self._pseudonym(study)} if study else {}
        detail = {"sequence": row["sequence"], "time": iso(row["time"]), "event": row["event"], **known}
        return _message(row["sequence"], detail)


def _message(sequence: int, content: dict[str, Any]) -> str:
    return f"id: {sequence}\ndata: {json.dumps(content)}\n\n"
