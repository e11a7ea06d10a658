"""One node to a data folder: two would take each other's jobs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr_node.errors import ConfigError

_FILE = "lock"


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold the folder. Raises ConfigError when another node does."""
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(data_dir / _FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(f"another node is running on {data_dir}; stop it, or set node.data_dir") from error
    try:
        yield
    finally:
        os.close(descriptor)


def is_held(data_dir: Path) -> bool:
    """Whether a node is running on the folder."""
    try:
        descriptor = os.open(data_dir / _FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
