"""One node to a data folder: two would take each other's jobs."""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr_node.errors import ConfigError

_FILE = "lock"
_FLOCK = "hhqqi0q"
"""struct flock of Linux: l_type, l_whence, l_start, l_len, l_pid."""
_WHOLE = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
"""The whole file, held by the open file, as flock(2) does; unlike that, it can be asked for without being taken."""


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold the folder. Raises ConfigError when another node does."""
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(data_dir / _FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(f"another node is running on {data_dir}; stop it, or set node.data_dir") from error
    try:
        yield
    finally:
        os.close(descriptor)


def is_held(data_dir: Path) -> bool:
    """Whether a node is running on the folder. It only asks, so that no node that starts meanwhile finds it locked."""
    try:
        descriptor = os.open(data_dir / _FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        (found, *_) = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _WHOLE))
    finally:
        os.close(descriptor)
    return bool(found != fcntl.F_UNLCK)
