"""The server itself, over real connections: TLS, callers that are slow or say nonsense, and how it ends."""

import asyncio
import http.client
import json
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from io import BufferedReader
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Send

from cxr_node import tls
from cxr_node.errors import Transient
from cxr_node.port import bound
from cxr_node.tls import Identity, PemFile
from cxr_node.web.guard import Guard
from cxr_node.web.server import Server
from tests.certificates import Authority
from tests.node import wait_for
from tests.web import Web


@contextmanager
def serving(web: Web, secure: ssl.SSLContext | None = None, head_seconds: float = 10) -> Iterator[int]:
    """The pages of `web` at a port of this machine."""
    listening = bound("127.0.0.1", 0, "WEB_PORT", "no pages")
    server = Server(web.app, secure, head_seconds=head_seconds)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    port = int(listening.getsockname()[1])
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield port
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive(), "the server does not end"


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


def get(port: int, path: str, secure: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    connection: http.client.HTTPConnection
    if secure:
        connection = http.client.HTTPSConnection("localhost", port, context=secure, timeout=60)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_it_serves(web: Web) -> None:
    with serving(web) as port:
        assert get(port, "/api/worklist") == (200, b"[]")


def test_a_port_that_is_taken(web: Web) -> None:
    with closing(bound("127.0.0.1", 0, "WEB_PORT", "no pages")) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Transient, match=f"no pages at 127.0.0.1 port {port}: Address already in use") as refused:
            bound("127.0.0.1", port, "WEB_PORT", "no pages")
    assert refused.value.code == "WEB_PORT"


def test_over_tls_and_nothing_older_than_1_2(web: Web, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "hospital")
    own = authority.issue("web")
    identity = Identity(PemFile("web.certificate", own.certificate), PemFile("web.key", own.key))
    trusting = ssl.create_default_context(cafile=str(authority.pem))
    old = ssl.create_default_context(cafile=str(authority.pem))
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
    with serving(web, tls.server(identity, None)) as port:
        assert get(port, "/api/worklist", trusting) == (200, b"[]")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            get(port, "/healthz", old)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            get(port, "/healthz")


@pytest.mark.parametrize("words", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_caller_that_does_not_finish_what_it_asks_is_let_go(web: Web, words: bytes) -> None:
    with serving(web, head_seconds=0.3) as port, calling(port) as caller:
        caller.sendall(words)
        with suppress(ConnectionResetError):
            assert caller.recv(1000) == b""


def test_a_caller_that_trickles_is_let_go_too(web: Web) -> None:
    with serving(web, head_seconds=0.5) as port, calling(port) as caller, pytest.raises(OSError):
        for _ in range(1000):
            caller.sendall(b"X")
            time.sleep(0.05)


def test_a_second_request_on_a_connection_that_was_quiet(web: Web) -> None:
    with (
        serving(web, head_seconds=1) as port,
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection,
    ):
        for pause in (1.2, 0):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"alive":true}'
            time.sleep(pause)


NONSENSE = [
    b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\x00" * 100, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]  # fmt: skip


def test_nonsense_is_refused_and_the_server_goes_on(web: Web) -> None:
    with serving(web, head_seconds=0.5) as port:
        for words in NONSENSE:
            with calling(port) as caller:
                caller.sendall(words)
                with suppress(ConnectionResetError):
                    assert caller.recv(12) in (b"", b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 413")
        assert get(port, "/healthz")[0] == 200


def test_callers_that_say_nothing_hold_nobody_up(web: Web) -> None:
    with serving(web, head_seconds=600) as port, ExitStack() as silent:
        for _ in range(100):
            silent.enter_context(calling(port))
        assert get(port, "/healthz")[0] == 200


def test_a_body_that_does_not_come_in_time() -> None:
    async def never() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    assert asyncio.run(answered(never, {"content-length": "10"}))["status"] == 408


def test_an_answer_that_nobody_takes_is_given_up() -> None:
    async def stuck(message: Message) -> None:
        await asyncio.sleep(60)

    async def nothing() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    guard = Guard(PlainTextResponse("x"), take_seconds=0.1)
    with pytest.raises(TimeoutError):
        asyncio.run(_called(guard, nothing, stuck, {}))


async def answered(receive: Receive, headers: dict[str, str]) -> Message:
    """The head of what the guard answers to a request."""
    heads: list[Message] = []

    async def send(message: Message) -> None:
        heads.append(message)

    await _called(Guard(PlainTextResponse("x"), body_seconds=0.1), receive, send, headers)
    return heads[0]


async def _called(guard: Guard, receive: Receive, send: Send, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await guard({"type": "http", "method": "POST", "scheme": "http", "path": "/", "headers": raw}, receive, send)


def test_two_hundred_who_watch_are_all_told(web: Web) -> None:
    with serving(web) as port, ExitStack() as watching:
        streams = []
        for _ in range(200):
            caller = watching.enter_context(calling(port))
            caller.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            streams.append(watching.enter_context(closing(caller.makefile("rb"))))
        for stream in streams:
            line(stream, b"retry:")
        began = time.monotonic()
        uid = web.film(0.9)
        for stream in streams:
            told = json.loads(line(stream, b"data: ")[6:])
            assert told["study_instance_uid"] == uid
        assert time.monotonic() - began < 60


def test_it_ends_while_somebody_watches(web: Web) -> None:
    with calling_events(web) as stream:
        line(stream, b"retry:")


@contextmanager
def calling_events(web: Web) -> Iterator[BufferedReader]:
    with ExitStack() as left_open, serving(web) as port:
        caller = left_open.enter_context(calling(port))
        caller.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream = left_open.enter_context(closing(caller.makefile("rb")))
        yield stream


def line(stream: BufferedReader, begin: bytes) -> bytes:
    """The next line of a stream that begins so."""
    while not (found := stream.readline()).startswith(begin):
        assert found, "the stream has ended"
    return found


def calling(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)
