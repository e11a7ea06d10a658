"""How films come in: an adapter over pynetdicom's receiving side.

pynetdicom writes a data set to a temporary file as it arrives, and reads its sockets 4096 bytes at a time. Here the
file is a part in the spool's own file system, where the final rename costs nothing and a full disk becomes an answer
instead of a dead thread, and the socket is read in large pieces. Both belong upstream; a test fails when pynetdicom
changes underneath. Nothing else of the project reaches into pynetdicom's insides.
"""

import contextlib
import errno
import ipaddress
import math
import os
import socket
import tempfile
import time
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from socketserver import TCPServer
from types import MethodType
from typing import Any

from pynetdicom import _config, dimse_messages
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from cxr_node.imaging.digest import DataSetDigest

_PIECE = 1 << 20
_LONGEST_PDU = 8 << 20  # twice the largest that a site may offer; what claims more is no DICOM peer


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
    if association.requestor.primitive is None:
        association.dul.to_user_queue.put(None)


def finished_part(request: Any) -> Part:
    """The part that a complete C-STORE request was written to."""
    part = request._dataset_file
    assert isinstance(part, Part)  # noqa: S101 - receive_into was called before the server started
    return part


class NodeServer(ThreadedAssociationServer):
    """Accepts connections from the allowed networks; `networks` empty means from everywhere."""

    networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - signature of socketserver
        if not self.networks:
            return True
        address = ipaddress.ip_address(client_address[0])
        return any(address in network for network in self.networks)

    def shutdown(self) -> None:
        """Stop accepting; live associations go on."""
        TCPServer.shutdown(self)
        self.server_close()


class NodeRequestHandler(RequestHandler):
    """Prepares each connection: no delay for small answers, a time-out for every read, large reads."""

    def _create_association(self) -> Association:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(self.ae.network_timeout)
        association = super()._create_association()
        transport = association.dul.socket
        setattr(transport, "recv", MethodType(_receive, transport))  # noqa: B010 - one instance's method
        return association


def _receive(connection: AssociationSocket, count: int) -> bytearray:
    """As AssociationSocket.recv, in pieces of up to 1 MiB that are taken as they come, never ahead of what came.

    Raises OSError, which closes the connection, for a PDU that is longer than any may be, or that trickles in.
    """
    if count > _LONGEST_PDU:
        raise OSError(errno.EMSGSIZE, f"a PDU of {count} bytes")
    until = time.monotonic() + (connection.assoc.network_timeout or math.inf)
    received = bytearray()
    while connection.socket is not None and len(received) < count:
        piece = connection.socket.recv(min(count - len(received), _PIECE))
        if not piece:
            break
        received += piece
        if time.monotonic() > until:
            raise TimeoutError(errno.ETIMEDOUT, "a PDU took longer than the time-out")
    return received
