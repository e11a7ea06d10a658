"""Connections before and below associations: an adapter over pynetdicom's server.

A connection becomes an association when its caller has begun to speak, over TLS where the node has it; until then it
costs one waiting thread. pynetdicom would do the handshake in the thread that accepts.
"""

import errno
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from socketserver import TCPServer
from typing import Any

import structlog
from pynetdicom import AE, evt
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.fsm import StateMachine
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from cxr_node.dimse import handshake
from cxr_node.dimse.answers import Answers
from cxr_node.dimse.checkpoint import Checkpoint
from cxr_node.dimse.waking import Waker
from cxr_node.dimse.wire import Connection, Reader
from cxr_node.domain.callers import Network, within

log = structlog.get_logger()

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
        association: Any = super()._create_association()  # pynetdicom names the classes of its parts itself
        association.dul.socket.waker = Waker()
        association.dul.socket.__class__ = Connection
        association.dul.__class__ = Reader
        association.dul.state_machine.__class__ = _States
        association.acse.__class__ = _Negotiation
        association.dimse.__class__ = Answers
        Checkpoint.put_in(association)
        made: Association = association
        return made


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


def _sentence(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {handshake.sentence(error)}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
