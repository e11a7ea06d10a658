"""One transaction, and one sync, for what several threads want to write at the same time."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T]):
    """What a thread wants to write; whether it was `tried` together with others, and `done`."""

    work: Callable[[T], None]
    tried: bool = False
    done: bool = False


class Together(Generic[T]):
    """What the threads of a process want to write to one database."""

    def __init__(self) -> None:
        self._lock, self._waiting = threading.Lock(), list[_Waiting[T]]()

    def do(
        self,
        work: Callable[[T], None],
        turn: Callable[[], AbstractContextManager[None]],
        writing: Callable[[], AbstractContextManager[T]],
    ) -> None:
        """Do `work` in a transaction, with what other threads have waited to do meanwhile in the same.

        `turn` gives a thread the connection, and `writing` is a transaction of the thread that has it. The thread that
        has it next does the work of all who wait. Where a row of any of them is refused nothing is done together, and
        each has a transaction of its own, so that `work` may be begun twice. Raises as it does, and as these two.
        """
        mine = _Waiting(work)
        with self._lock:
            self._waiting.append(mine)
        try:
            with turn():
                if not mine.tried:
                    self._do_all(writing)
                if not mine.done:
                    with writing() as tx:
                        work(tx)
        finally:  # it waited too long for its turn, and is told so
            with self._lock:
                if mine in self._waiting:
                    self._waiting.remove(mine)

    def _do_all(self, writing: Callable[[], AbstractContextManager[T]]) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.tried = True
        if len(waiting) == 1:
            return
        with suppress(sqlite3.IntegrityError):
            with writing() as tx:
                for each in waiting:
                    each.work(tx)
            for each in waiting:
                each.done = True
