"""Connections before and below associations: an adapter over pynetdicom's server.

A connection becomes an association when its caller has begun to speak, over TLS where the node has it; until then it
costs one waiting thread. pynetdicom would do the handshake in the thread that accepts, would read its sockets 4096
bytes at a time, and could not serve more than a thousand files and sockets at once.
"""

import contextlib
import errno
import math
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from socketserver import TCPServer
from typing import Any, NoReturn

import structlog
from pynetdicom import AE, evt
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.fsm import StateMachine
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from cxr_node.dimse import handshake
from cxr_node.dimse.answers import Answers
from cxr_node.domain.callers import Network, within

log = structlog.get_logger()

_PIECE = 1 << 20
_HEADER = 6  # of a PDU: type, reserved, length (PS3.8 9.3)
_P_DATA = 0x04
_LONGEST_DATA = 8 << 20
_LONGEST_OTHER = 256 << 10  # an A-ASSOCIATE-RQ of 128 contexts with every transfer syntax takes a tenth
_LONGEST_MESSAGE = 8 << 20  # what is no object is held in memory: a request for 5000 instances takes a tenth
_WAITING = 512  # connections that may wait for their first words beside the associations
_MOST_OUTGOING = 16  # PDUs; an answer to C-FIND has two
_LOOK_SECONDS = 0.0005
_TLS_HANDSHAKE = b"\x16"  # content type of the first TLS record (RFC 8446 5.1)


class Refused(Exception):
    """A connection is closed before it becomes an association; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Who may connect: from `networks` (empty: from everywhere), with `tls` or without.

    `refused` is told the address and the reason of every other caller.
    """

    networks: Sequence[Network]
    tls: ssl.SSLContext | None
    refused: Callable[[str, str], None]

    def admit(self, connection: socket.socket, address: str) -> socket.socket:
        """The connection, ready to be read: its caller is allowed, has begun to speak, and speaks as it should.

        Raises Refused with the reason, and OSError when the connection ends or its time-out passes before that.
        """
        if self.networks and not within(address, self.networks):
            raise Refused("its address is in none of receive.allowed_networks")
        first = connection.recv(1, socket.MSG_PEEK)
        if not first:
            raise ConnectionResetError(errno.ECONNRESET, "closed before a word was said")
        if (first == _TLS_HANDSHAKE) != (self.tls is not None):
            raise Refused(
                "it speaks TLS, and here is none" if self.tls is None else "it speaks no TLS, as it must here"
            )
        return self.tls.wrap_socket(connection, server_side=True) if self.tls else connection


def keep_pace(association: Association) -> None:
    """Wait while much of what was given to an association has not left yet, or until the association ends.

    pynetdicom takes any number of answers and keeps them in memory; whoever makes them as fast as they can also keeps
    the thread from working that sends them, and hears of a C-CANCEL when all is done.
    """
    outgoing: Any = association.dul.to_provider_queue
    while outgoing.qsize() > _MOST_OUTGOING and association.is_established:
        time.sleep(_LOOK_SECONDS)


class NodeServer(ThreadedAssociationServer):
    """Accepts connections, each of which waits in a thread of its own until the gate has admitted it."""

    daemon_threads = True  # a handshake that never comes does not hold up the end of the node
    request_queue_size = 128  # a hundred machines may call in the same moment

    def __init__(
        self,
        ae: AE,
        where: tuple[str, int],
        ae_title: str,
        contexts: list[PresentationContext],
        *,
        handlers: list[evt.EventHandlerType],
        gate: Gate,
    ) -> None:
        self.gate = gate
        self._most_threads = 2 * ae.maximum_associations + _WAITING  # an association has two
        super().__init__(ae, where, ae_title, contexts, evt_handlers=handlers, request_handler=_Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - signature of socketserver
        room = threading.active_count() < self._most_threads
        if not room:
            log.error("connection.dropped", address=client_address[0], reason="too many connections wait")
        return room

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - signature of socketserver
        """A connection that did not become an association: who it was, and why."""
        error = sys.exc_info()[1]
        if isinstance(error, ConnectionError | TimeoutError) and not isinstance(error, ssl.SSLError):
            log.debug("connection.closed", address=client_address[0])  # port scanners, health checks
        elif isinstance(error, Refused | OSError):
            self.gate.refused(client_address[0], _sentence(error))
        else:
            log.error("connection.fault", address=client_address[0], exc_info=error)

    def shutdown(self) -> None:
        """Stop accepting; live associations go on."""
        TCPServer.shutdown(self)
        self.server_close()


class _Handler(RequestHandler):
    """Admits one connection and makes it an association."""

    server: NodeServer

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small answers are not held back
        self.request.settimeout(self.ae.acse_timeout)
        self.request = self.server.gate.admit(self.request, self.client_address[0])
        self.request.settimeout(self.ae.network_timeout)

    def _create_association(self) -> Association:
        association = super()._create_association()
        setattr(association.dul.socket, "__class__", _Connection)  # noqa: B010 - pynetdicom names its classes itself
        setattr(association.dul.state_machine, "__class__", _States)  # noqa: B010
        setattr(association.acse, "__class__", _Negotiation)  # noqa: B010
        setattr(association.dimse, "__class__", Answers)  # noqa: B010
        return association


class _Negotiation(ACSE):
    """The negotiation of one association (PS3.8 7.1)."""

    def negotiate_association(self) -> None:
        """As the original, whose thread dies of a presentation context without a SOP class or a transfer syntax."""
        try:
            super().negotiate_association()
        except Exception as error:  # noqa: BLE001 - TypeError, IndexError ...
            reason = f"what it asks for makes no sense ({type(error).__name__})"
            log.warning("association.broken", calling=self.requestor.ae_title, reason=reason)
            self.assoc.abort()


class _States(StateMachine):
    """The states of one association (PS3.8 9.2): what fits none of them ends the association."""

    def do_action(self, event: str) -> None:
        """As the original, of whose failures the thread dies that reads the connection, and leaves it open.

        A command set may lack or hold anything, an A-ABORT give a source that there is not; and an association may be
        accepted in the same moment in which its caller ends it.
        """
        try:
            super().do_action(event)
        except Exception as error:  # noqa: BLE001 - KeyError, TypeError, InvalidEventError ...
            reason = f"what came makes no sense ({type(error).__name__})"
            log.warning("association.broken", calling=self.dul.assoc.requestor.ae_title, reason=reason)
            self._break()

    def _break(self) -> None:
        abort = A_ABORT_RQ()
        abort.source, abort.reason_diagnostic = 0x02, 0x00  # the service provider, no reason given (PS3.8 9.3.8)
        connection: Any = self.dul.socket
        if connection.socket is not None:
            connection.send(abort.encode())
            connection.close()
        evt.trigger(self.dul.assoc, evt.EVT_CONN_CLOSE)
        self.dul.kill_dul()


class _Connection(AssociationSocket):
    """The socket of one association: no limit on file numbers, large reads, and none longer than a PDU may be."""

    _longest = _HEADER

    @property
    def ready(self) -> bool:
        """As the original, whose select(2) knows the first 1024 files of a process only."""
        if self.socket is None or not self._is_connected:
            return False
        poll = select.poll()
        try:
            poll.register(self.socket, select.POLLIN)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False
        buffered = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0
        return buffered or bool(poll.poll(0))

    def recv(self, nr_bytes: int) -> bytearray:
        """As the original, in pieces of up to 1 MiB that are taken as they come, never ahead of what came.

        Raises OSError, which closes the connection, for a PDU or a message that is longer than any may be, or a PDU
        that trickles in.
        """
        if nr_bytes > self._longest:
            self._refuse(f"a PDU of {nr_bytes} bytes")
        if (held := self._held()) > _LONGEST_MESSAGE:
            self._refuse(f"a message of more than {held} bytes that is no object")
        until = time.monotonic() + (self.assoc.network_timeout or math.inf)
        received = bytearray()
        while self.socket is not None and len(received) < nr_bytes:
            piece = self.socket.recv(min(nr_bytes - len(received), _PIECE))
            if not piece:
                break
            received += piece
            if time.monotonic() > until:
                raise TimeoutError(errno.ETIMEDOUT, "a PDU took longer than the time-out")
        if len(received) == _HEADER:
            self._longest = self._longest_of(received[0])
        else:
            self._acknowledge()
        return received

    def _acknowledge(self) -> None:
        """Tell the peer at once that a PDU is here.

        Many peers write command and data set one after the other, and their system (Nagle's algorithm, RFC 896) holds
        the second back until the first is acknowledged, which Linux delays by 40 ms (RFC 1122 4.2.3.2). It falls back
        to that by itself, so that it is told after each PDU.
        """
        if self.socket is not None:
            with contextlib.suppress(OSError):  # the peer is gone: the next read says so
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _shutdown_socket(self) -> None:
        """As the original, which leaves a socket open whose peer was faster."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    def _refuse(self, what: str) -> NoReturn:
        log.warning("association.broken", calling=self.assoc.requestor.ae_title, reason=what)
        raise OSError(errno.EMSGSIZE, what)

    def _held(self) -> int:
        """Bytes of the message that is being received, as far as they are in memory; objects go to parts."""
        message = self.assoc.dimse.message
        buffers = (message.encoded_command_set, message.data_set) if message else ()
        return sum(buffer.tell() for buffer in buffers if buffer)

    def _longest_of(self, kind: int) -> int:
        """Data four times as long as was offered are let pass, since some peers do not look; memory stays bounded."""
        offered = self.assoc.acceptor.maximum_length or _LONGEST_DATA
        return min(4 * offered, _LONGEST_DATA) if kind == _P_DATA else _LONGEST_OTHER


def _sentence(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {handshake.sentence(error)}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
