"""One node to a data folder: two would take each other's jobs."""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr_node.errors import ConfigError

LOCK = "lock"
"""The file of a data folder that the node which works on it holds."""
_FLOCK = "hhqqi0q"
"""struct flock of Linux: l_type, l_whence, l_start, l_len, l_pid."""
_WHOLE, _SHARED = (struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0) for kind in (fcntl.F_WRLCK, fcntl.F_RDLCK))
"""The whole file, held by the open file, as flock(2) does; unlike that, it can be asked for without being taken."""


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold the folder. Raises ConfigError when another node does."""
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = hold(data_dir / LOCK)
    if descriptor is None:
        raise ConfigError(f"another node is running on {data_dir}; stop it, or set node.data_dir")
    try:
        yield
    finally:
        os.close(descriptor)


def hold(path: Path, *, shared: bool = False) -> int | None:
    """A descriptor that holds a file, alone or `shared` with others of that kind; None while another holds it.

    It is let go of when the last process that has inherited the descriptor has closed it, or has ended.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _SHARED if shared else _WHOLE)
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_held(data_dir: Path) -> bool:
    """Whether a node is running on the folder. It only asks, so that no node that starts meanwhile finds it locked."""
    try:
        descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        (found, *_) = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _WHOLE))
    finally:
        os.close(descriptor)
    return bool(found != fcntl.F_UNLCK)
