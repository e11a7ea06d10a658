"""One SQLite file: opened, migrated, and used in short transactions.

WAL with `synchronous=FULL`: what was committed survives a power cut. Writers queue for the file; a transaction is
begun IMMEDIATE, because a deferred one that reads and then writes fails at once when another writer was faster.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from cxr_node.errors import Permanent, Transient
from cxr_node.store.migrations import migrations

Row = dict[str, Any]
_BUSY_SECONDS = 15.0


class Tx:
    """An open transaction. Everything executed through it is committed or undone together."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run one statement; the number of rows it changed."""
        return self._connection.execute(sql, parameters).rowcount

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        cursor = self._connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        return next(iter(self.rows(sql, parameters)), None)


class Store:
    """The database of one node; one object a process, shared by its threads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open the file, creating and migrating it as needed.

        Raises Permanent("DATABASE") when the file is not a database, is damaged, or was written by a later release.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            with _alone(path.parent):
                connection.execute("PRAGMA journal_mode = WAL")
                _migrate(connection, path)
        except (sqlite3.Error, OSError) as error:
            raise Permanent("DATABASE", f"cannot open the database {path}: {error}") from error
        return cls(connection)

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """A transaction that writes. Raises Transient when the file is busy or the disk is full."""
        with self._lock, _translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Tx(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """A consistent view of the data, for reading only."""
        with self._lock, _translated():
            self._connection.execute("BEGIN")
            try:
                yield Tx(self._connection)
            finally:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        with self._lock:
            self._connection.close()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Processes that start together migrate one after the other."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    database = Database(connection)
    applied = {migration.name for migration in migrations.applied(database)}
    if unknown := applied - {migration.name for migration in migrations._migrations}:
        raise Permanent(
            "DATABASE",
            f"the database {path} was written by a later release of cxr_node (it has {', '.join(sorted(unknown))}); "
            "install that release again, or restore a backup from before the upgrade",
        )
    if migrations.pending(database):
        migrations.apply(database)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise Transient("DATABASE_BUSY", f"the database stayed busy for {_BUSY_SECONDS:g} s") from error
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
            raise Transient(
                "DISK_FULL" if name == "SQLITE_FULL" else "DATABASE_UNWRITABLE",
                f"the database cannot be written: {error}",
            ) from error
        raise
