"""The Minimal Lower Layer Protocol (HL7 v2.5.1 appendix C.4): VT message FS CR, and one message for one answer."""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cxr_node.errors import ConfigError, Transient
from cxr_node.message import Message

_BEGIN, _END, _AFTER = b"\x0b", b"\x1c", b"\r"
_LONGEST_ANSWER = 256 << 10
_PIECE = 64 << 10


class TooLong(Exception):
    """A message, or what stands before one, is longer than any may be."""


def framed(message: bytes) -> bytes:
    return _BEGIN + message + _END + _AFTER


class Frames:
    """Cuts what comes over a connection into messages of at most `most` bytes.

    What stands between them is passed over, also the CR that should follow each, which some leave out. A message that
    begins anew inside another takes its place: its sender gave the first one up.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held, self._passed = most, bytearray(), 0
        self.begun = False
        """Whether a message has begun and is not whole."""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Raises TooLong, after which the connection is of no use."""
        found = []
        for piece in _pieces(data):
            if piece == _BEGIN:
                self._held.clear()
                self.begun, self._passed = True, 0
            elif piece == _END and self.begun:
                found.append(bytes(self._held))
                self.begun, self._passed = False, 0
            elif self.begun:
                self._held += piece
            else:
                self._passed += len(piece)
            if len(self._held) > self._most or self._passed > self._most:
                raise TooLong(f"a message of more than {self._most} bytes, or as much that is none")
        return found


def _pieces(data: bytes) -> list[bytes]:
    """The bytes between the marks, and the marks."""
    return [piece for piece in re.split(b"([\x0b\x1c])", data) if piece]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who takes our messages. `timeout` in seconds, for the whole of an answer; `connecting` for being reached.

    `tls` makes the context, each time from the files as they are then; `tls_name` is what the peer's certificate must
    be for, where that is not `host`.
    """

    name: str
    host: str
    port: int
    timeout: float = 30.0
    connecting: float = 10.0
    tls: Callable[[], ssl.SSLContext] | None = None
    tls_name: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.host}:{self.port})"


def reach(peer: Peer) -> None:
    """Connect, over TLS where that is spoken, and say nothing. Raises Transient with what went wrong."""
    with _connected(peer):
        pass


def exchange(peer: Peer, message: bytes) -> bytes:
    """Send a message and wait for its answer; what that says is not looked at.

    Raises Transient: UNREACHABLE, TLS_FAILED, or NO_ANSWER when the answer does not come whole, and it is not known
    whether the message was taken.
    """
    with _connected(peer) as connection:
        until = time.monotonic() + peer.timeout
        try:
            connection.sendall(framed(message))
            return _answer(connection, until, peer)
        except TimeoutError as error:
            raise Transient(
                "NO_ANSWER", Message("{peer} did not answer within {timeout:g} s", peer=peer, timeout=peer.timeout)
            ) from error
        except OSError as error:
            raise Transient("NO_ANSWER", Message("{peer} broke off: {why}", peer=peer, why=_why(error))) from error


def _answer(connection: socket.socket, until: float, peer: Peer) -> bytes:
    frames = Frames(_LONGEST_ANSWER)
    while True:
        connection.settimeout(max(0.001, until - time.monotonic()))
        data = connection.recv(_PIECE)
        if not data:
            how = "in the middle of its answer" if frames.begun else "without an answer"
            raise Transient("NO_ANSWER", Message("{peer} ended the connection {how}", peer=peer, how=how))
        try:
            if found := frames.feed(data):
                return found[0]
        except TooLong as error:
            raise Transient("NO_ANSWER", Message("{peer} answers with {error}", peer=peer, error=error)) from error


@contextmanager
def _connected(peer: Peer) -> Iterator[socket.socket]:
    try:
        context = peer.tls() if peer.tls else None
    except ConfigError as error:  # it was sound when the node started; someone is renewing it
        raise Transient("TLS_FAILED", error.message) from error
    try:
        plain = socket.create_connection((peer.host, peer.port), peer.connecting)
    except OSError as error:
        raise Transient(
            "UNREACHABLE", Message("no connection with {peer}: {why}", peer=peer, why=_why(error))
        ) from error
    with plain:
        if context is None:
            yield plain
            return
        try:
            secured = context.wrap_socket(plain, server_hostname=peer.tls_name or peer.host)
        except (OSError, ValueError) as error:
            raise Transient("TLS_FAILED", Message("no TLS with {peer}: {why}", peer=peer, why=_why(error))) from error
        with secured:
            yield secured


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
