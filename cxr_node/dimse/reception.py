"""How films come in: an adapter over pynetdicom's receiving side.

pynetdicom writes a data set to a temporary file as it arrives. Here the file is a part in the spool's own file system,
where the final rename costs nothing and a full disk becomes an answer instead of a dead thread. This and what
`connections` does belong upstream; a test fails when pynetdicom changes underneath. Nothing else of the project reaches
into pynetdicom's insides.
"""

import contextlib
import os
import tempfile
from io import FileIO
from pathlib import Path
from typing import Any

from pynetdicom import _config, dimse_messages
from pynetdicom.association import Association

from cxr_node.imaging.digest import DataSetDigest


class Part:
    """Stands in for the temporary file that pynetdicom writes a data set to; `digest` grows with it.

    After the first failed write the rest of the bytes is discarded; `error` says why, and the sender will be told.
    """

    def __init__(self, folder: Path) -> None:
        self.error: OSError | None = None
        self.digest = DataSetDigest()
        try:
            descriptor, self.name = tempfile.mkstemp(dir=folder, suffix=".part")
        except OSError as error:
            self.error, self.name = error, str(folder / "unwritten.part")
            descriptor = os.open(os.devnull, os.O_WRONLY)
        self.stream = FileIO(descriptor, "w")  # fragments are large: a buffer would only copy them once more
        self.file = self  # pynetdicom flushes `.file` after every fragment

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while self.error is None and rest:
                rest = rest[self.stream.write(rest) :]
        except OSError as error:
            self.error = error
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """There is no buffer."""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.stream.close()

    def discard(self) -> None:
        self.close()
        Path(self.name).unlink(missing_ok=True)


def receive_into(folder: Path) -> None:
    """From now on this process writes received data sets to parts in `folder`."""
    _config.STORE_RECV_CHUNKED_DATASET = True
    setattr(dimse_messages, "NamedTemporaryFile", lambda **_: Part(folder))  # noqa: B010 - it is no part of its API


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
    return part
