"""A consistent copy of the database while others write to it."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from cxr_node.durable import sync
from cxr_node.errors import Permanent

_PAGES_AT_ONCE = 4096  # 16 MB, then writers have their turn


def copy(path: Path, target: Path) -> int:
    """Copy the database of a node, running or not, into a new file readable by its owner alone; its size in bytes.

    The copy is of one moment, is synced, and appears whole under its name or not at all. Raises Permanent("BACKUP")
    when it cannot be made.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        with closing(source), closing(sqlite3.connect(part)) as copied:
            source.execute("BEGIN")  # one moment, however long it takes
            source.backup(copied, pages=_PAGES_AT_ONCE)
            copied.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        sync(part)
        part.replace(target)
        sync(target.parent)
        return target.stat().st_size
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise Permanent("BACKUP", f"cannot copy the database {path} to {target}: {error}") from error
