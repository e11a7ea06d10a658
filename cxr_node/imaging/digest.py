"""The digest that names a film: that of its data set, whoever wrote the file around it."""

import hashlib
from pathlib import Path

_PREAMBLE = 132
_GROUP_LENGTH = b"\x02\x00\x00\x00UL"  # (0002,0000): the length of the rest of group 2 (PS3.10 7.1)
_HEAD = _PREAMBLE + 12
_PIECE = 1 << 20


class DataSetDigest:
    """SHA-256 of what follows the preamble and File Meta of a Part 10 file, fed with its bytes as they are written.

    Of all its bytes where there is no File Meta.
    """

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._head: bytearray | None = bytearray()

    def update(self, data: bytes | memoryview) -> None:
        if self._head is None:
            self._sha256.update(data)
            return
        self._head += data
        if len(self._head) >= _HEAD and len(self._head) >= (start := _data_set_start(self._head)):
            self._sha256.update(self._head[start:])
            self._head = None

    def hexdigest(self) -> str:
        if self._head is not None:
            self._sha256.update(self._head)
            self._head = None
        return self._sha256.hexdigest()


def data_set_digest(path: Path) -> str:
    """The digest (hex) of a whole file."""
    digest = DataSetDigest()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _data_set_start(head: bytearray) -> int:
    if head[_PREAMBLE : _PREAMBLE + 6] != _GROUP_LENGTH:
        return 0
    return _HEAD + int.from_bytes(head[_PREAMBLE + 8 : _HEAD], "little")
