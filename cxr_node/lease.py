"""Which node of a pair works: the one that holds the lease in the data folder, which both can reach.

Three files there say so. `lock` is held, through the kernel, by every process of the node that works: it is free when
the last of them is gone. `lease` says who works and under which term, and has a beat that goes on while that node
lives. `readers` is held by commands that have the database open, since two hosts must never have it open together: what
SQLite keeps in shared memory is one host's.

A node takes the lease when it holds the lock and has seen the beat stand still for as long as a lease lasts, by its own
clock: clocks of two hosts are never compared. Who holds it renews it, or is killed by its own kernel before another may
take it (`fence`). The term is the fencing token: a process that finds another one there has been succeeded, and ends.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final, NoReturn

import structlog

from cxr_node import fence
from cxr_node.errors import ConfigError, Permanent, Transient
from cxr_node.lock import LOCK, hold
from cxr_node.message import Message

log = structlog.get_logger()

VARIABLE: Final = "CXR_NODE_LEASE"
"""Of every process of a node that has the lease: the process of the node, and the term."""
LEASE: Final = "lease"
"""The file of a data folder that says who works."""
_READERS: Final = "readers"
_MARGIN_SECONDS: Final = 1.0
"""By how much longer than a lease its successor waits: for clocks of different pace, and for the kernel to kill."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works, under which term, since when (seconds since 1970 UTC, by its clock); `released`: it has stopped."""

    term: int
    name: str
    since: float
    beat: int = 0
    released: bool = False


def read(data_dir: Path) -> Lease | None:
    """The lease as it stands; None where there never was one. Raises OSError, or ConfigError for what is no lease."""
    path = data_dir / LEASE
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        return Lease(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is no lease; move it away while no node of the pair runs") from error


class Tenure:
    """The lease, in the hands of this node, for `seconds` at a time; `lock` is the descriptor that holds the folder.

    `kill_at` puts off the end of this process, by the clock `now`; `die` ends the whole node at once.
    """

    def __init__(
        self,
        data_dir: Path,
        lease: Lease,
        lock: int,
        seconds: float,
        *,
        kill_at: Callable[[float], None],
        now: Callable[[], float],
        die: Callable[[], None],
    ) -> None:
        self._data_dir, self._lease, self.lock, self._seconds = data_dir, lease, lock, seconds
        self._kill_at, self._now, self._die = kill_at, now, die
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    @property
    def lease(self) -> Lease:
        return self._lease

    def begin(self) -> None:
        """Renew it from now on, in a thread of its own: whatever else this process waits for."""
        self.renew()
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def renew(self) -> None:
        """Let the beat go on, and put off the end; where another has taken the lease, this is the end.

        Raises OSError or ConfigError where the folder does not answer as it should: then the end stays where it was.
        """
        began, found = self._now(), read(self._data_dir)
        if found is not None and (found.term, found.name) != (self._lease.term, self._lease.name):
            if found.term >= self._lease.term:
                self._die()
                return
            log.warning("pair.written_over", name=self._lease.name, term=self._lease.term, by=found.name)
        self._lease = replace(self._lease, beat=self._lease.beat + 1)
        _write(self._data_dir, self._lease)
        self._kill_at(began + self._seconds)

    def release(self) -> None:
        """The node has stopped: the other need not wait. `lock` is let go of with the process."""
        self._ending.set()
        self._thread.join()
        try:
            _write(self._data_dir, replace(self._lease, released=True))
        except OSError as error:  # then it runs out
            log.warning("pair.not_renewed", name=self._lease.name, term=self._lease.term, reason=str(error))
        self._kill_at(0)

    def _keep(self) -> None:
        while not self._ending.wait(self._seconds / 4):
            try:
                self.renew()
            except (OSError, ConfigError) as error:
                log.warning("pair.not_renewed", name=self._lease.name, term=self._lease.term, reason=str(error))


class Candidate:
    """A node that stands by. `attempt` is called about every second; `clock` counts seconds and is never set."""

    def __init__(
        self,
        data_dir: Path,
        name: str,
        seconds: float,
        clock: Callable[[], float],
        time_of_day: Callable[[], float] = time.time,
    ) -> None:
        self._data_dir, self._name, self._seconds = data_dir, name, seconds
        self._clock, self._time_of_day = clock, time_of_day
        self._lock: int | None = None
        self._seen: Lease | None = None
        self._still_since = 0.0

    def attempt(self) -> tuple[Lease, int] | None:
        """The lease and the descriptor that holds the folder, when it is this node's turn; None: not yet.

        Raises OSError while the folder does not answer, ConfigError for what is no lease; then it begins anew.
        """
        try:
            return self._attempt()
        except (OSError, ConfigError):
            self._begin_anew()
            raise

    def _attempt(self) -> tuple[Lease, int] | None:
        if self._lock is None:
            self._lock = hold(self._data_dir / LOCK)
            if self._lock is None:
                return None
            self._seen, self._still_since = read(self._data_dir), self._clock()
        found = read(self._data_dir)
        if found != self._seen:
            log.error("pair.lock_ignored", name=self._name, works=found.name if found else None)
            self._begin_anew()
            return None
        still = self._clock() - self._still_since
        if found is not None and not found.released and still < self._seconds + _MARGIN_SECONDS:
            return None
        return self._take(found, self._lock)

    def _take(self, before: Lease | None, lock: int) -> tuple[Lease, int] | None:
        """Nobody works; but a command of the other host may still have the database open."""
        readers = hold(self._data_dir / _READERS)
        if readers is None and before is not None and before.name != self._name:
            log.warning("pair.waiting", name=self._name, reason=f"a command at {before.name} has the database open")
            self._begin_anew()
            return None
        lease = Lease(before.term + 1 if before else 1, self._name, self._time_of_day())
        _write(self._data_dir, lease)
        if readers is not None:
            os.close(readers)
        return lease, lock

    def _begin_anew(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def take(data_dir: Path, lease: Lease, lock: int, seconds: float) -> Tenure:
    """What `attempt` gave, renewed until it is released or this process ends; the term is for the children, too."""
    os.environ[VARIABLE] = f"{os.getpid()}:{lease.term}"
    tenure = Tenure(data_dir, lease, lock, seconds, kill_at=fence.Deadline().set, now=fence.now, die=_end_this)
    tenure.begin()
    return tenure


def join() -> None:
    """Of a child: end with the node, if it has a lease."""
    if (found := _inherited(os.environ)) is not None:
        fence.end_with(found[0])


def guard(data_dir: Path, environment: Mapping[str, str] = os.environ) -> Callable[[], None]:
    """What is to be called in the moment before anything is sent or written; it returns while the node has its lease.

    Where another has it, the whole node ends, this process with it. It raises Transient where that cannot be read.
    """
    found = _inherited(environment)
    if found is None:
        return lambda: None
    node, term = found

    def check() -> None:
        try:
            lease = read(data_dir)
        except (OSError, ConfigError) as error:
            why = Message("whether this node still works cannot be read: {error}", error=error)
            raise Transient("LEASE_UNREADABLE", why) from error
        if lease is None or lease.term != term:
            _end(node)

    return check


def require_here(data_dir: Path, name: str | None) -> None:
    """Before a command or a child opens the database; `name` is this node's in the pair, where it is one of a pair.

    Raises Permanent("STANDS_BY") where the other node works, Permanent("LEASE_UNREADABLE").
    """
    if name is None or not data_dir.is_dir():
        return
    try:
        reading = _reading(data_dir)
        lease = read(data_dir)
    except OSError as error:
        raise Permanent("LEASE_UNREADABLE", f"which node works cannot be read: {error}") from error
    if reading is None or (lease is not None and lease.name != name):
        _reading.cache_clear()
        works = lease.name if lease else "nobody"
        raise Permanent("STANDS_BY", f"{name} stands by, and {works} works; give this command there")


@cache
def _reading(data_dir: Path) -> int | None:
    """Held until this process ends: so long the other host does not open the database."""
    return hold(data_dir / _READERS, shared=True)


def _inherited(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The process of the node and its term."""
    node, _, term = environment.get(VARIABLE, "").partition(":")
    return (int(node), int(term)) if term else None


def _end_this() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _end(node: int) -> NoReturn:
    """Not in order, and without a last word: the database is another's now."""
    os.kill(node, signal.SIGKILL)
    while True:
        signal.pause()  # its children end with it


def _write(data_dir: Path, lease: Lease) -> None:
    """Whole or not at all, and on the disk."""
    part = data_dir / f"{LEASE}.{lease.name}.part"
    with part.open("w", encoding="utf-8") as stream:
        json.dump(asdict(lease), stream)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(data_dir / LEASE)
