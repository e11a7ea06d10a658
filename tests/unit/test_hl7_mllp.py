"""MLLP on real sockets: frames, the client's view of a peer that fails, and a port that nothing brings down."""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr_node import tls
from cxr_node.domain.callers import Refusals
from cxr_node.errors import Transient
from cxr_node.hl7 import mllp
from cxr_node.hl7.mllp import Frames, Peer, TooLong, exchange, framed, reach
from cxr_node.hl7.server import Gate, Server
from tests.certificates import Authority
from tests.node import wait_for
from tests.ris import CR, FS, VT, Ris, received

MESSAGE = b"MSH|^~\\&|A|B|C|D|1||ORU^R01|77|P|2.5.1\r"


class Port:
    """A served port; `refused` is who was turned away, and why."""

    def __init__(self, gate: Gate, answer: Callable[[bytes], bytes] = lambda message: b"got " + message) -> None:
        self.refused: list[str] = []
        refusals = Refusals(lambda refusal: self.refused.append(refusal.reason))
        self.server = Server(("127.0.0.1", 0), gate, lambda message, _: answer(message), refusals)

    def call(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), 60)

    def served(self, connection: socket.socket, message: bytes = b"x") -> bytes | None:
        connection.sendall(framed(message))
        return received(connection)

    def freed(self) -> bool:
        wait_for(lambda: not self.server.connections(), what="every place free")
        return self.server.alive()


@contextmanager
def port(gate: Gate | None = None, **more: Callable[[bytes], bytes]) -> Iterator[Port]:
    found = Port(gate or Gate(), **more)
    found.server.start()
    yield found
    found.server.stop()
    wait_for(lambda: not found.server.alive())


# -- frames


@given(st.lists(st.binary(max_size=30).filter(lambda m: not {VT[0], FS[0]} & set(m)), max_size=5), st.integers(1, 7))
def test_messages_come_whole_however_they_are_cut(messages: list[bytes], size: int) -> None:
    stream, frames = b"noise".join([b"", *map(framed, messages)]), Frames(1000)
    found = [one for at in range(0, len(stream), size) for one in frames.feed(stream[at : at + size])]
    assert found == messages
    assert not frames.begun


def test_a_message_that_begins_anew_takes_the_place_of_half_a_one() -> None:
    frames = Frames(100)
    assert frames.feed(VT + b"half" + VT + b"whole" + FS) == [b"whole"]
    assert frames.feed(FS + CR + b"junk") == []
    assert not frames.begun


@pytest.mark.parametrize("begin", [b"", VT])
def test_what_has_no_end_is_given_up(begin: bytes) -> None:
    frames = Frames(100)
    frames.feed(begin + b"x" * 100)
    with pytest.raises(TooLong):
        frames.feed(b"x")


# -- the client


def test_an_answer_is_brought_back() -> None:
    with Ris() as ris:
        assert b"MSA|AA|77" in exchange(Peer("ris", "127.0.0.1", ris.port), MESSAGE)
        assert ris.heard == [MESSAGE.decode()]


@pytest.mark.parametrize(
    ("behave", "timeout", "said"),
    [
        ("silent", 0.3, "did not answer within 0.3 s"),
        ("half", 60, "in the middle of its answer"),
        ("close", 60, "without an answer"),
    ],
)
def test_a_peer_that_does_not_answer(behave: str, timeout: float, said: str) -> None:
    with Ris(behave) as ris, pytest.raises(Transient, match=said) as caught:
        exchange(Peer("ris", "127.0.0.1", ris.port, timeout=timeout), MESSAGE)
    assert caught.value.code == "NO_ANSWER"


def test_a_peer_that_is_away_or_trickles_without_end() -> None:
    with Ris() as ris:
        peer = Peer("ris", "127.0.0.1", ris.port)
        reach(peer)
    with pytest.raises(Transient, match="no connection with ris") as caught:
        exchange(peer, MESSAGE)
    assert caught.value.code == "UNREACHABLE"
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_floods, args=(server,), daemon=True).start()
        with pytest.raises(Transient, match="more than"):
            exchange(Peer("ris", *server.getsockname()), MESSAGE)


def _floods(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(VT + b"x" * (mllp._LONGEST_ANSWER + 1))
        connection.recv(1 << 20)


# -- the port


def test_several_messages_on_one_connection_with_noise_between() -> None:
    with port() as served, served.call() as caller:
        assert served.served(caller, b"one") == b"got one"
        caller.sendall(b"noise" + framed(b"two") + framed(b"three"))
        found = b""
        while found.count(FS) < 2:
            found += caller.recv(1000)
        assert found == framed(b"got two") + framed(b"got three")


def test_half_a_message_is_given_up_in_time_and_its_place_is_free_again() -> None:
    with port(Gate(timeout=0.3)) as served, served.call() as caller:
        caller.sendall(VT + b"half")
        assert caller.recv(10) == b""
        assert served.freed()


def test_a_message_that_trickles_is_given_up_in_time() -> None:
    with port(Gate(timeout=0.5)) as served, served.call() as caller:
        caller.sendall(VT)
        with pytest.raises(OSError, match=r"reset|pipe"):
            for _ in range(2000):
                caller.sendall(b"x")
                time.sleep(0.05)
        assert served.freed()


def test_a_connection_may_be_silent_for_longer_than_a_message_may_take() -> None:
    with port(Gate(timeout=0.2)) as served, served.call() as caller:
        served.served(caller)
        time.sleep(0.6)
        assert served.served(caller, b"later") == b"got later"


def test_what_is_too_long_ends_the_connection_and_is_told_of() -> None:
    with port(Gate(longest=1000)) as served, served.call() as caller:
        caller.sendall(VT + b"x" * 2000)
        assert caller.recv(10) == b""
        wait_for(lambda: served.refused)
        assert "more than 1000 bytes" in served.refused[0]
        assert served.freed()


def test_the_longest_silent_caller_makes_room_for_a_new_one() -> None:
    with port(Gate(most=2)) as served, served.call() as first, served.call() as second:
        assert served.served(first) == b"got x"
        wait_for(lambda: [each.idle for each in served.server._connections] == [True, True])
        assert served.served(second) == b"got x"
        with served.call() as third:
            assert served.served(third) == b"got x"
            assert first.recv(10) == b""
            assert served.served(second) == b"got x"


def test_when_all_are_in_the_middle_of_something_a_new_caller_is_turned_away() -> None:
    with port(Gate(most=1)) as served, served.call() as busy:
        assert served.served(busy) == b"got x"
        wait_for(lambda: [each.idle for each in served.server._connections] == [True])
        busy.sendall(VT + b"ha")
        wait_for(lambda: [each.idle for each in served.server._connections] == [False])
        with served.call() as late:
            assert late.recv(10) == b""
        wait_for(lambda: served.refused == ["every place of hl7.max_connections is taken"])
        busy.sendall(b"lf" + FS)
        assert received(busy) == b"got half"


def test_only_the_networks_that_are_allowed_may_send_messages() -> None:
    gate = Gate(networks=[ipaddress.ip_network("10.1.0.0/16")])
    with port(gate) as served, served.call() as caller:
        assert caller.recv(10) == b""
        wait_for(lambda: served.refused)
        assert served.refused == ["its address is in none of hl7.allowed_networks"]
    with port(Gate(networks=[ipaddress.ip_network("127.0.0.0/8")])) as served, served.call() as caller:
        assert served.served(caller) == b"got x"


def test_messages_over_tls_from_who_has_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "hospital")
    pair, own = authority.issue("node"), authority.issue("ris")
    ca = tls.PemFile("tls.ca", authority.pem)
    identity = _identity(pair)
    context = tls.server(identity, ca)
    with port(Gate(tls=context)) as served:
        peer = Peer(
            "node", "127.0.0.1", served.server.port, tls=partial(tls.client, _identity(own), ca), tls_name="localhost"
        )
        assert exchange(peer, b"x") == b"got x"
        with pytest.raises(Transient, match=r"TLS|broke off|without") as caught:
            stranger = Peer(
                "node", "127.0.0.1", served.server.port, tls=partial(tls.client, None, ca), tls_name="localhost"
            )
            exchange(stranger, b"x")
        assert caught.value.code in ("NO_ANSWER", "TLS_FAILED")
        other = Peer("node", "127.0.0.1", served.server.port, tls=partial(tls.client, None, ca), tls_name="else")
        with pytest.raises(Transient, match="certificate is not accepted"):
            reach(other)
        with pytest.raises(Transient):
            exchange(Peer("node", "127.0.0.1", served.server.port), MESSAGE)
        wait_for(lambda: served.refused)
        assert any(reason.startswith("TLS: ") for reason in served.refused)
        assert served.freed()


def _identity(pair) -> tls.Identity:  # type: ignore[no-untyped-def]
    return tls.Identity(tls.PemFile("certificate", pair.certificate), tls.PemFile("key", pair.key))


def test_a_caller_that_never_shakes_hands_holds_no_place(tmp_path: Path) -> None:
    context = tls.server(_identity(Authority(tmp_path, "hospital").issue("node")), None)
    with port(Gate(tls=context, timeout=0.3)) as served, ExitStack() as callers:
        for _ in range(5):
            callers.enter_context(served.call())
        assert served.freed()


@pytest.fixture(scope="module")
def standing() -> Iterator[Port]:
    with port(Gate(most=4, timeout=2.0, longest=4096)) as served:
        yield served


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(st.binary(max_size=300), st.sampled_from([VT, FS, CR, VT + b"MSH|^~\\&|", framed(MESSAGE)])),
        max_size=8,
    )
)
def test_no_bytes_bring_the_port_down_or_take_a_place_for_good(standing: Port, pieces: list[bytes]) -> None:
    with standing.call() as caller:
        for piece in pieces:
            caller.sendall(piece)
    with standing.call() as another:
        assert standing.served(another) == b"got x"
    assert standing.freed()


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(Transient) as caught:
        Server(other.getsockname(), Gate(), lambda *_: b"", Refusals(lambda _: None))
    assert caught.value.code == "HL7_PORT"
