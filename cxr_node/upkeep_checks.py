"""What `check` says of a node's upkeep: copies of the database, how long files stay, where the log goes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cxr_node.config import Config

Look = tuple[Literal["ok", "note", "warning", "failed"], str, str]
"""A verdict, what was looked at, and what was found."""


def look(config: Config) -> Iterator[Look]:
    yield _backup(config)
    yield _retention(config)
    if config.log.file is not None and (why := _unwritable(config.log.file.parent)):
        yield "failed", "log file", f"log.file: {why}"


def _backup(config: Config) -> Look:
    if not config.backup.hours:
        return "warning", "backup", "backup.hours is 0: the database is copied by nobody, unless you do it"
    if config.backup.folder is None:
        said = f"the database is copied every {config.backup.hours:g} h, onto the same disk: set backup.folder"
        return "note", "backup", said
    if why := _unwritable(config.backup.folder):
        return "failed", "backup", f"backup.folder: {why}"
    return "ok", "backup", f"the database is copied every {config.backup.hours:g} h to {config.backup.folder}"


def _retention(config: Config) -> Look:
    limits = config.retention
    if limits.days is None and limits.max_gigabytes is None:
        return "note", "retention", "films stay for ever: set retention.days or retention.max_gigabytes"
    age = f"{limits.days:g} days" if limits.days is not None else ""
    size = f"{limits.max_gigabytes:g} GB" if limits.max_gigabytes is not None else ""
    said = f"films of studies that are read and sent stay for {' or up to '.join(filter(None, (age, size)))}"
    if config.worklist.read_after_hours is None:
        return "note", "retention", f"{said}; what nobody marks as read stays (worklist.read_after_hours is not set)"
    return "ok", "retention", said


def _unwritable(folder: Path) -> str | None:
    if not folder.is_dir():
        return f"{folder} is not there"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} is not writable for this user; under systemd name it in ReadWritePaths= of a drop-in"
    return None
