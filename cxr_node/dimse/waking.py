"""How a thread of an association that waits is told that there is something to do.

Those of pynetdicom look a thousand times a second, which of a hundred machines that wait for an answer takes a core.
"""

import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Queue
from typing import Any


class Waker:
    """Ends a wait for a socket (eventfd(2)). Raises OSError where the process may have no more files open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def wake(self) -> None:
        """End the wait that goes on, or else the next one; after `close` nothing."""
        with self._lock:  # a descriptor that is closed may be another file by now
            if self._descriptor is not None:
                os.eventfd_write(self._descriptor, 1)

    def wait(self, connection: socket.socket, milliseconds: int) -> None:
        """Until there is something to read, somebody wakes, or so much time has passed.

        Raises OSError or ValueError where the connection or this is closed.
        """
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        poll.register(-1 if self._descriptor is None else self._descriptor, select.POLLIN)
        poll.poll(milliseconds)
        with self._lock, suppress(BlockingIOError):
            if self._descriptor is not None:
                os.eventfd_read(self._descriptor)

    def close(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = None

    __del__ = close


class _Telling(Queue[Any]):
    tell: Callable[[], None]

    def _put(self, item: Any) -> None:
        super()._put(item)
        self.tell()


def tell_of(queue: "Queue[Any]", tell: Callable[[], None]) -> None:
    """Call `tell` whenever something has been put into a queue; by whoever does, who holds the queue meanwhile."""
    telling: Any = queue
    telling.tell, telling.__class__ = tell, _Telling
