"""How films come in: an adapter over pynetdicom's receiving side.

pynetdicom writes a data set to a temporary file as it arrives. Here the file is a part in the spool's own file system,
where the final rename costs nothing and a full disk becomes an answer instead of a dead thread. This and what
`connections` does belong upstream; a test fails when pynetdicom changes underneath. Nothing else of the project reaches
into pynetdicom's insides.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import Any

from pynetdicom import _config, dimse_messages
from pynetdicom.association import Association

from cxr_node.dimse.writeback import begin_write_back
from cxr_node.imaging.digest import DataSetDigest

LARGEST = 4 << 30  # bytes of an object; of films the decoder takes far less, of multi-frame ones nothing is kept
_LOOK_EVERY = 4 << 20
_BEGIN_EVERY = 1 << 20
_ROOM = 512 << 10  # bytes of an object that are held until they are written, while as many come
_HASHING = ThreadPoolExecutor(thread_name_prefix="digest")  # of the threads, one a core and four more at most


class Part:
    """Stands in for the temporary file that pynetdicom writes a data set to; `digest` grows with it.

    The disk begins with each megabyte when it is there, so that the sync at the end is short.

    After the first failed write, once `full` says that there is no room, or beyond 4 GB, the rest of the bytes is
    discarded; `error` says why, and the sender will be told. A part that nobody holds any more is gone with its
    file: pynetdicom forgets requests that it does not serve.
    """

    def __init__(self, folder: Path, full: Callable[[], bool] = lambda: False) -> None:
        self.error: OSError | None = None
        self.digest = DataSetDigest()
        self._full, self._size, self._looked_at, self._begun = full, 0, 0, 0
        self._buffer, self._other, self._held = (*(memoryview(bytearray(_ROOM)) for _ in range(2)), 0)
        self._hashing: Future[None] | None = None
        try:
            self._require_room()
            descriptor, self.name = tempfile.mkstemp(dir=folder, suffix=".part")
        except OSError as error:
            self.error, self.name = error, str(folder / "unwritten.part")
            descriptor = os.open(os.devnull, os.O_WRONLY)
        self.stream = FileIO(descriptor, "w")  # fragments are large: a buffer would only copy them once more
        self.file = self  # pynetdicom flushes `.file` after every fragment

    def write(self, data: bytes) -> int:
        """Take in a piece of the data set, after what has been put into its `room`."""
        self.store()
        self.digest.update(data)
        self._store(memoryview(data))
        return len(data)

    def room(self, most: int) -> memoryview:
        """Where the next bytes, `most` at most, may be put; `filled` is told how many were."""
        return self._buffer[self._held : self._held + most]

    def filled(self, count: int) -> None:
        self._held += count
        if self._held == len(self._buffer):
            self._write_held()

    def store(self) -> None:
        """Write what has been put into the room, and finish the digest."""
        self._write_held()
        self._await_digest()

    def _write_held(self) -> None:
        """Write what is in the room while another thread takes its digest, and have the other room filled meanwhile."""
        data, self._held = self._buffer[: self._held], 0
        if data:
            self._await_digest()
            self._hashing = _HASHING.submit(self.digest.update, data)
            self._buffer, self._other = self._other, self._buffer
            self._store(data)

    def _await_digest(self) -> None:
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None

    def _store(self, data: memoryview) -> None:
        if self.error is not None:
            return
        try:
            self._size += len(data)
            if self._size - self._looked_at >= _LOOK_EVERY:
                self._require_room()
            while data:
                data = data[self.stream.write(data) :]
            if self._size - self._begun >= _BEGIN_EVERY:
                begin_write_back(self.stream.fileno(), self._begun, self._size - self._begun)
                self._begun = self._size
        except OSError as error:
            self.error = error

    def _require_room(self) -> None:
        """A data set does not say how long it will be, so that it is looked at while it grows."""
        self._looked_at = self._size
        if self._full():
            raise OSError(errno.ENOSPC, "the disk is almost full")
        if self._size > LARGEST:
            raise OSError(errno.EFBIG, "the object is larger than any film")

    def flush(self) -> None:
        """There is no buffer."""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.stream.close()

    def discard(self) -> None:
        self.close()
        with contextlib.suppress(OSError):
            Path(self.name).unlink(missing_ok=True)

    __del__ = discard


def receive_into(folder: Path, full: Callable[[], bool] = lambda: False) -> None:
    """From now on this process writes received data sets to parts in `folder`, unless `full` says that it is."""
    _config.STORE_RECV_CHUNKED_DATASET = True
    setattr(dimse_messages, "NamedTemporaryFile", lambda **_: Part(folder, full))  # noqa: B010 - it is no part of its API


def unfinished_part(association: Association) -> Part | None:
    """The part of a data set that was still arriving when its association ended."""
    message = association.dimse.message
    part = getattr(message, "_data_set_file", None)
    return part if isinstance(part, Part) else None


def wake(association: Association) -> None:
    """The connection is gone: end the thread that still waits for a request over it.

    By itself pynetdicom would wait for the whole ACSE time-out, so that a port scan fills the cap on associations.
    """
    user: Any = association.dul.to_user_queue
    if association.requestor.primitive is None:
        user.put(None)


def finished_part(request: Any) -> Part:
    """The part that a complete C-STORE request was written to."""
    part = request._dataset_file
    assert isinstance(part, Part)  # noqa: S101 - receive_into was called before the server started
    part.store()
    return part
