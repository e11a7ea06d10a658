"""One SQLite file: opened, migrated, and used in short transactions.

WAL with `synchronous=FULL`: what was committed survives a power cut (what a worker has claimed, apart). Writers queue
for the file; a transaction is begun IMMEDIATE, because a deferred one that reads and then writes fails at once when
another writer was faster.
"""

import fcntl
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from cxr_node.errors import Permanent, Transient
from cxr_node.message import Message
from cxr_node.store.migrations import migrations
from cxr_node.store.together import Together

Row = dict[str, Any]
Parameters = Sequence[object] | Mapping[str, object]
_BUSY_SECONDS = 15.0
_PAGES = ("page_count", "freelist_count")
_MOST_PAGES, _LEAST_FREE = 65_536, 2_048
"""Of 4 KiB: what VACUUM rewrites in seconds, and from where on it is worth it."""


class Tx:
    """An open transaction. Everything executed through it is committed or undone together."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; the number of rows it changed."""
        return self._connection.execute(sql, parameters).rowcount

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        cursor = self._connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        return next(iter(self.rows(sql, parameters)), None)


class Store:
    """The database of one node; one object a process, shared by its threads. It is closed when nobody holds it.

    `guard` is called before anything is written, and raises, or does not return, where that is another's to do.
    """

    def __init__(self, connection: sqlite3.Connection, guard: Callable[[], None] = lambda: None) -> None:
        self._connection, self._guard = connection, guard
        self._lock = threading.Lock()
        self._together = Together[Tx]()
        self._level = "FULL"
        weakref.finalize(self, connection.close)

    @classmethod
    def open(cls, path: Path, *, create: bool = True, guard: Callable[[], None] = lambda: None) -> "Store":
        """Open the file; with `create`, which is for the node itself, it is made and migrated as needed.

        Without, as for a command beside the node, nothing is changed. Raises Permanent("DATABASE") when the file is not
        a database, is damaged, or was written by a later release; without `create` also when it is missing or was
        written by an earlier one.
        """
        try:
            connection = _created(path) if create else _found(path)
        except (sqlite3.Error, OSError) as error:
            raise Permanent("DATABASE", f"cannot open the database {path}: {error}") from error
        return cls(connection, guard)

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Tx]:
        """A transaction that writes. Raises Transient when the file is busy or the disk is full, Permanent when it is
        damaged.

        One that is not `durable` survives the end of the process, but a power cut only together with the next one that
        is: it costs no sync. It is for what would be found out anew.
        """
        with _translated(), self._turn(), self._writing(durable=durable) as tx:
            yield tx

    def together(self, work: Callable[[Tx], None]) -> None:
        """Do `work` in a transaction, and with it what other threads have waited to do meanwhile: one sync for all.

        It may be begun twice, where another's fails. Raises what it raises, and as `transaction` does.
        """
        with _translated():
            self._together.do(work, self._turn, self._writing)

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """A consistent view of the data, for reading only. Raises as `transaction` does."""
        with _translated(), self._turn():
            self._connection.execute("BEGIN")
            try:
                yield Tx(self._connection)
            finally:
                if self._connection.in_transaction:  # SQLite ends it by itself after some failures
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[Tx]:
        """A transaction of the thread whose turn it is."""
        self._guard()
        self._sync("FULL" if durable else "NORMAL")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield Tx(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _sync(self, level: str) -> None:
        if level != self._level:
            self._connection.execute(f"PRAGMA synchronous = {level}")
            self._level = level

    def tidy(self) -> None:
        """Write the log of changes into the file, as far as no reader needs it, and let the planner count anew; where
        much of a small file is empty, give that back to the disk."""
        with _translated(), self._turn():
            self._guard()
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._connection.execute("PRAGMA optimize").fetchall()
            (pages,), (free,) = (self._connection.execute(f"PRAGMA {name}").fetchone() for name in _PAGES)
            if pages < _MOST_PAGES and free > _LEAST_FREE and free > pages // 4:
                self._connection.execute("VACUUM")  # senders wait for seconds at most: the file is small

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The connection for this thread alone. A sender waits for an answer behind it: the time that the threads
        before took is taken off what SQLite may wait for other processes."""
        until = time.monotonic() + _BUSY_SECONDS
        if not self._lock.acquire(timeout=_BUSY_SECONDS):
            raise _busy()
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {max(0.0, until - time.monotonic()) * 1000:.0f}")
            yield
        finally:
            self._lock.release()


def examine(path: Path, seconds: float) -> bool:
    """Look for damage in a database file that nobody has open; whether all of it was looked at in `seconds`.

    Nothing is changed, not even by SQLite's own recovery. Pages and trees are looked at, not the values in them.
    Raises Permanent("DATABASE_DAMAGED"), or Permanent("DATABASE") when it cannot be opened.
    """
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    alarm = threading.Timer(seconds, connection.interrupt)
    alarm.start()
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_INTERRUPT":
            return False
        raise Permanent("DATABASE", f"cannot open the database {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        found = str(error)
    finally:
        alarm.cancel()
        alarm.join()
        connection.close()
    if found != "ok":
        raise Permanent(
            "DATABASE_DAMAGED",
            f"the database {path} is damaged ({' '.join(found.split())}); nothing was changed. Copy it and the files "
            f"{path.name}-wal and {path.name}-shm beside it away, then put a backup in its place",
        )
    return True


def outdated(path: Path) -> str | None:
    """The first migration that an existing database still has to go through, or None. Raises as `Store.open`."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return _first_pending(connection, path)
    except sqlite3.Error as error:
        raise Permanent("DATABASE", f"cannot open the database {path}: {error}") from error


def _created(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its other files the same mode
    with _connected(path) as connection, _alone(path.parent):
        connection.execute("PRAGMA journal_mode = WAL")
        if _pending(connection, path):
            migrations.apply(Database(connection))
    return connection


def _found(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise Permanent("DATABASE", f"there is no database {path}: the node makes it when it is first started")
    with _connected(path) as connection:
        if _pending(connection, path):
            raise Permanent(
                "DATABASE",
                f"the database {path} was written by an earlier release of cxr_node; the node brings it up to date "
                "when it is started with this one",
            )
    return connection


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that stays open unless what is done with it here fails."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    with ExitStack() as undo:
        undo.callback(connection.close)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection
        undo.pop_all()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Processes that start together migrate one after the other."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _pending(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the schema is to be brought up to date; only looks."""
    return _first_pending(connection, path) is not None


def _first_pending(connection: sqlite3.Connection, path: Path) -> str | None:
    known = [migration.name for migration in migrations._migrations]
    applied = {migration.name for migration in migrations.applied(Database(connection))}
    if unknown := applied.difference(known):
        raise Permanent(
            "DATABASE",
            f"the database {path} was written by a later release of cxr_node (it has {', '.join(sorted(unknown))}); "
            "install that release again, or put the copy from before the upgrade in its place: it lies in the folder "
            "backups beside it, and what came since is not in it",
        )
    return next((name for name in known if name not in applied), None)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise _busy() from error
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
            raise Transient(
                "DISK_FULL" if name == "SQLITE_FULL" else "DATABASE_UNWRITABLE",
                Message("the database cannot be written: {error}", error=error),
            ) from error
        raise
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise Permanent(
                "DATABASE_DAMAGED",
                Message(
                    "the database is damaged ({error}): stop the node, copy it away, and put a backup in its place",
                    error=error,
                ),
            ) from error
        raise


def _busy() -> Transient:
    return Transient("DATABASE_BUSY", Message("the database stayed busy for {seconds:g} s", seconds=_BUSY_SECONDS))
