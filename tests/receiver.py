"""A syslog receiver: takes octet-counted messages (RFC 5425 4.3) over TCP or TLS, or fails as a test wants it to.

with Receiver(server_context) as receiver:
    ...
    receiver.messages       # what came, frame by frame, from whole connections and broken ones

`dies_after`: how many messages it takes before it resets the connection; `silent`: it never closes one.
"""

import socket
import ssl
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.certificates import Authority

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST


def tls_server(authority: Authority, name: str = "syslog") -> ssl.SSLContext:
    pair = authority.issue(name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


class Receiver:
    def __init__(
        self, context: ssl.SSLContext | None = None, *, port: int = 0, dies_after: int | None = None,
        silent: bool = False, polite: bool = True,
    ) -> None:  # fmt: skip
        self.context, self.dies_after, self.silent, self.polite = context, dies_after, silent, polite
        self.messages: list[str] = []
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = int(self._server.getsockname()[1])
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with suppress(OSError, ValueError), connection:  # a caller may speak something else, or stop speaking
                self._take(connection)

    def _take(self, plain: socket.socket) -> None:
        connection = self.context.wrap_socket(plain, server_side=True) if self.context else plain
        with connection, connection.makefile("rb") as stream:
            while length := self._length(stream.read):
                self.messages.append(stream.read(length).decode("utf-8"))
                if self.dies_after is not None and len(self.messages) >= self.dies_after:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    return
            if self.silent:
                self._closing.wait(60)
            elif self.polite and isinstance(connection, ssl.SSLSocket):
                connection.unwrap()

    @staticmethod
    def _length(read) -> int:  # type: ignore[no-untyped-def]
        digits = b""
        while (one := read(1)) and one != b" ":
            digits += one
        return int(digits or b"0")


def xml_of(message: str) -> str:
    """The audit message that a syslog message carries."""
    return message.partition("\ufeff")[2]


def written(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []
