"""How the node itself opens its database: looked over first, copied before a new release changes it."""

from pathlib import Path

import structlog

from cxr_node.config import Config
from cxr_node.errors import Permanent
from cxr_node.plan import database_of, open_store, spool_of
from cxr_node.store.copying import copy
from cxr_node.store.db import Store, examine, outdated

log = structlog.get_logger()

_EXAMINE_SECONDS = 20.0  # enough for a gigabyte or two; systemd waits 15 minutes for a start


def open_own_store(config: Config) -> Store:
    """The same for the node when it starts: looked over first, and begun anew only where there are no films yet."""
    path, films = database_of(config), spool_of(config).films
    if path.is_file() and path.stat().st_size:
        if not examine(path, _EXAMINE_SECONDS):
            log.warning("database.large", meaning=f"looked at for {_EXAMINE_SECONDS:g} s only, and no damage found")
        _keep_from_before(path)
    elif any(films.glob("*/*.dcm")):
        raise Permanent(
            "DATABASE_LOST",
            f"the database {path} is missing or empty, but there are films in {films}; nothing was changed. Put a "
            f"backup in its place; without one, move {config.node.data_dir.resolve()} away as a whole and have its "
            "films sent again",
        )
    return open_store(config)


def _keep_from_before(path: Path) -> None:
    """Copy a database of an earlier release before this one changes it: a release is gone back to with its database.

    Raises Permanent("BACKUP") where there is no room for the copy; then nothing has changed.
    """
    migration = outdated(path)
    if migration is None:
        return
    target = backups_of(path.parent) / f"before-{migration}.sqlite"
    size = copy(path, target)
    log.warning("database.upgraded", backup=str(target), bytes=size, first=migration)


def backups_of(data_dir: Path) -> Path:
    """Where the node keeps copies of its database: those of before an upgrade, and those that it makes by itself."""
    return data_dir / "backups"
