"""Audit messages in a file: one to a line, appended, synced before it counts."""

import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from cxr_node.audit.messages import Message
from cxr_node.errors import Transient


def append(path: Path, told: Sequence[Message]) -> None:
    """Append messages; whoever rotates the file may rename it at any time. Raises Transient("AUDIT_FILE")."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as stream:
            _append(stream, b"".join(f"{each.xml}\n".encode() for each in told))
    except OSError as error:
        raise Transient("AUDIT_FILE", f"cannot append to the audit file {path}: {error.strerror}") from error


def _append(stream: FileIO, lines: bytes) -> None:
    """All of it, or nothing: a full disk must not leave half a line, to which the next would be joined."""
    before, rest = os.fstat(stream.fileno()).st_size, memoryview(lines)
    try:
        while rest:
            rest = rest[stream.write(rest) :]
        os.fsync(stream.fileno())
    except OSError:
        stream.truncate(before)
        raise
