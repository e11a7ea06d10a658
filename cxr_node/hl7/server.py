"""The port that messages come in on: MLLP over TCP or TLS, a thread for each of a bounded number of connections."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from cxr_node.domain.callers import Network, Refusals, within
from cxr_node.hl7.mllp import Frames, TooLong, framed
from cxr_node.port import bound

log = structlog.get_logger()

_PIECE = 64 << 10
_PAUSE_SECONDS = 0.2  # before the next try to accept, where the system has no more files


@dataclass(frozen=True, slots=True)
class Gate:
    """Who may connect, and what a connection may do.

    From `networks` (empty: from everywhere), with `tls` or without. `most` connections; `timeout` in seconds, for a
    handshake, for the whole of a message once it has begun, and for the taking of an answer; `longest` in bytes.
    """

    networks: Sequence[Network] = ()
    tls: ssl.SSLContext | None = None
    most: int = 16
    timeout: float = 60.0
    longest: int = 1 << 20


@dataclass(eq=False)
class _Connection:
    plain: socket.socket
    address: str
    since: float
    idle: bool = False  # between messages: nobody is hurt when it is closed
    secured: socket.socket | None = field(default=None)


class Server:
    """Serves until it is stopped. `answer` gives the answer to a message from an address.

    A connection between messages may stay for days. When all places are taken, the one that has been silent longest
    makes room for a new caller: its owner connects again when it has something to say.
    """

    def __init__(self, where: tuple[str, int], gate: Gate, answer: Callable[[bytes, str], bytes],
                 refusals: Refusals) -> None:  # fmt: skip
        self._gate, self._answer, self._refusals = gate, answer, refusals
        self._listening = bound(*where, "HL7_PORT", "no messages can be taken")
        self._connections: set[_Connection] = set()
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._accept, name="hl7", daemon=True)

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def start(self) -> None:
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def connections(self) -> int:
        """How many places are taken."""
        with self._lock:
            return len(self._connections)

    def stop(self) -> None:
        """No more callers, and no more messages; one that is being answered is answered."""
        self._stopping.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            for each in self._connections:
                if each.idle:
                    _close(each)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                plain, where = self._listening.accept()
            except OSError as error:
                if not self._stopping.wait(_PAUSE_SECONDS):
                    log.warning("hl7.not_accepting", reason=error.strerror)
                continue
            self._admit(plain, str(where[0]))

    def _admit(self, plain: socket.socket, address: str) -> None:
        reason = None
        if self._gate.networks and not within(address, self._gate.networks):
            reason = "its address is in none of hl7.allowed_networks"
        else:
            connection = _Connection(plain, address, time.monotonic())
            if not self._take_place(connection):
                reason = "every place of hl7.max_connections is taken"
        if reason:
            plain.close()
            self._refusals.refused(address, reason)
            return
        threading.Thread(target=self._serve, args=(connection,), name=f"hl7 {address}", daemon=True).start()

    def _take_place(self, connection: _Connection) -> bool:
        with self._lock:
            if len(self._connections) >= self._gate.most:
                idle = min((each for each in self._connections if each.idle), key=lambda each: each.since, default=None)
                if idle is None:
                    return False
                _close(idle)
                self._connections.discard(idle)
            self._connections.add(connection)
            return True

    def _serve(self, connection: _Connection) -> None:
        try:
            with connection.plain:
                self._converse(connection)
        except TooLong as error:
            self._refusals.refused(connection.address, str(error))
        except ssl.SSLError as error:
            self._refusals.refused(
                connection.address, f"TLS: {(error.reason or 'no handshake').replace('_', ' ').lower()}"
            )
        except OSError as error:  # the caller is gone, or was let go
            log.debug("hl7.closed", address=connection.address, reason=error.strerror)
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _converse(self, connection: _Connection) -> None:
        """Messages and their answers, until the caller ends it. Raises OSError and TooLong."""
        connection.plain.settimeout(self._gate.timeout)
        connection.plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        stream = connection.plain
        if self._gate.tls:
            stream = connection.secured = self._gate.tls.wrap_socket(connection.plain, server_side=True)
        frames = Frames(self._gate.longest)
        with stream:
            until = 0.0
            while not self._stopping.is_set() and (data := self._heard(connection, stream, frames, until)):
                before = frames.begun
                for message in frames.feed(data):
                    before = False
                    stream.settimeout(self._gate.timeout)
                    stream.sendall(framed(self._answer(message, connection.address)))
                if frames.begun and not before:
                    until = time.monotonic() + self._gate.timeout

    def _heard(self, connection: _Connection, stream: socket.socket, frames: Frames, until: float) -> bytes:
        """What comes next. A message that has begun must be whole by `until`."""
        with self._lock:
            connection.idle, connection.since = not frames.begun, time.monotonic()
        stream.settimeout(max(0.001, until - time.monotonic()) if frames.begun else None)
        data = stream.recv(_PIECE)
        with self._lock:
            connection.idle = False
        return data


def _close(connection: _Connection) -> None:
    with suppress(OSError):
        connection.plain.shutdown(socket.SHUT_RDWR)
    if connection.secured is not None:
        with suppress(OSError):
            connection.secured.shutdown(socket.SHUT_RDWR)
