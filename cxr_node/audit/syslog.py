"""Syslog over TLS: RFC 5424 messages, framed by octet counting (RFC 5425 4.3), as PS3.15 A.6 wants them.

Syslog has no acknowledgement. So each delivery has a connection of its own, which is closed in order: the receiver's
answer to that, or its own orderly end, comes only after it has read what came before. A receiver that dies in the
middle resets the connection, one that hangs stays silent, and all is sent again. What a receiver has read and then
loses nobody can tell.
"""

import re
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cxr_node.audit.messages import Message
from cxr_node.domain.clock import iso
from cxr_node.errors import Transient

_FACILITY = 10  # security and authorization messages
_NOTICE, _WARNING = 5, 4
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where to send. `secure` makes the TLS context, None for plain TCP; `timeout` in seconds, for every wait."""

    host: str
    port: int
    secure: Callable[[], ssl.SSLContext] | None
    timeout: float = 20.0

    def __str__(self) -> str:
        return f"the syslog receiver {self.host}:{self.port}"


def record(message: Message, host: str, process: str) -> bytes:
    """A message as syslog has it (RFC 5424 6), with the MSGID of PS3.15 A.6."""
    priority = _FACILITY * 8 + (_WARNING if message.warning else _NOTICE)
    named = re.sub(r"[^!-~]", "-", host)[:255] or "-"
    head = f"<{priority}>1 {iso(message.time)} {named} cxr-node {process} DICOM+RFC3881 -"
    return f"{head} {_BOM}{message.xml}".encode()


def send(receiver: Receiver, records: Sequence[bytes]) -> None:
    """Send records in order; returns when the receiver has read them all. Without records it only shakes hands.

    Raises Transient("AUDIT_UNREACHABLE") when that is not sure, ConfigError for TLS files that cannot be used.
    """
    context = receiver.secure() if receiver.secure else None
    try:
        with socket.create_connection((receiver.host, receiver.port), receiver.timeout) as plain:
            if context is None:
                _say(plain, records)
                plain.shutdown(socket.SHUT_WR)
                _read_to_the_end(plain)
            else:
                secured = _Secured(plain, context, receiver.host)
                _say(secured, records)
                secured.close_in_order()
    except ssl.SSLCertVerificationError as error:
        raise Transient("AUDIT_UNREACHABLE", f"{receiver} is not trusted: {error.verify_message}") from error
    except OSError as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise Transient("AUDIT_UNREACHABLE", f"{receiver} has not taken everything: {reason or error}") from error


class _Secured:
    """TLS over a connected socket. Not an SSLSocket: its `unwrap` takes the alert of a receiver that refuses our
    certificate, which in TLS 1.3 comes when our handshake is over, for an orderly end.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._plain, self._incoming, self._outgoing = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._do(self._tls.do_handshake)

    def sendall(self, data: bytes) -> None:
        self._do(lambda: self._tls.write(data))

    def close_in_order(self) -> None:
        """Say that nothing follows (close_notify), and wait until the peer says so too, or ends the connection."""
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        with suppress(ssl.SSLZeroReturnError, ssl.SSLEOFError):  # many end it without a word of TLS
            while True:
                self._do(lambda: self._tls.read(4096))

    def _do(self, step: Callable[[], object]) -> None:
        """A step of TLS, and what has to be sent and received for it."""
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                self._flush()
                if heard := self._plain.recv(16384):
                    self._incoming.write(heard)
                else:
                    self._incoming.write_eof()
            else:
                return self._flush()

    def _flush(self) -> None:
        self._plain.sendall(self._outgoing.read())


def _say(connection: socket.socket | _Secured, records: Sequence[bytes]) -> None:
    for each in records:
        connection.sendall(b"%d %s" % (len(each), each))


def _read_to_the_end(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass
