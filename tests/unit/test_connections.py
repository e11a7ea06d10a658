"""Connections before and below associations: these fail when pynetdicom changes underneath."""

import ipaddress
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from pynetdicom import AE
from pynetdicom.association import Association

from cxr_node.dimse.connections import Gate, Refused
from cxr_node.dimse.wire import Connection

OFFERED = 16384


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The node's end of a connection, and the caller's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        yield ours, theirs


def reading(ours: socket.socket, timeout: float = 60.0) -> Connection:
    ae = AE()
    ae.network_timeout, ae.maximum_pdu_size = timeout, OFFERED
    association = Association(ae, "acceptor")
    association.acceptor.maximum_length = OFFERED
    return Connection(association, client_socket=ours)


def header(kind: int, length: int) -> bytes:
    return bytes([kind, 0]) + length.to_bytes(4, "big")


def test_a_pdu_is_read_as_it_comes_and_never_ahead(ends: tuple[socket.socket, socket.socket]) -> None:
    connection = reading(ends[0])
    ends[1].sendall(header(4, 3) + b"ab")
    assert connection.recv(6) == header(4, 3)
    threading.Timer(0.1, ends[1].sendall, [b"cd"]).start()
    assert connection.recv(3) == b"abc"
    assert connection.recv(1) == b"d"


def test_the_end_of_the_connection_ends_the_reading(ends: tuple[socket.socket, socket.socket]) -> None:
    connection = reading(ends[0])
    ends[1].sendall(b"abc")
    ends[1].close()
    assert connection.recv(6) == b"abc"
    assert connection.recv(6) == b""


def test_a_pdu_of_several_megabytes_is_read_whole(ends: tuple[socket.socket, socket.socket]) -> None:
    connection = reading(ends[0])
    connection.assoc.acceptor.maximum_length = 1 << 20
    content = os.urandom(3 << 20)
    threading.Thread(target=ends[1].sendall, args=(header(4, len(content)) + content,)).start()
    connection.recv(6)
    assert connection.recv(len(content)) == content


@pytest.mark.parametrize(
    ("kind", "length", "taken"),
    [
        (4, 4 * OFFERED, True),
        (4, 4 * OFFERED + 1, False),
        (4, 0xFFFFFFFF, False),
        (1, 256 << 10, True),
        (1, (256 << 10) + 1, False),
        (0x2A, 0xFFFFFFFF, False),
    ],
)
def test_no_pdu_is_longer_than_it_may_be(
    ends: tuple[socket.socket, socket.socket], kind: int, length: int, taken: bool
) -> None:
    connection = reading(ends[0])
    ends[1].sendall(header(kind, length))
    connection.recv(6)
    ends[1].close()
    if taken:
        assert connection.recv(length) == b""
    else:
        with pytest.raises(OSError, match=f"a PDU of {length} bytes"):
            connection.recv(length)


def test_a_pdu_that_trickles_in_is_given_up(ends: tuple[socket.socket, socket.socket]) -> None:
    connection = reading(ends[0], timeout=1e-9)
    ends[1].sendall(b"a")
    with pytest.raises(TimeoutError, match="longer than the time-out"):
        connection.recv(6)


def test_a_socket_beyond_the_first_thousand_files_is_read_too(ends: tuple[socket.socket, socket.socket]) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit[1] <= 2000:
        pytest.skip("this user may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], 2000), limit[1]))
    number = os.dup2(ends[0].fileno(), 1500)
    try:
        with socket.socket(fileno=number) as high:
            connection = reading(high)
            assert not connection.ready
            ends[1].sendall(b"a")
            assert connection.ready
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:10.2.0.1", False),
        ("fd00::17", True),
        ("fe80::1%eth0", True),
        ("2001:db8::1", False),
    ],
)
def test_addresses_of_both_kinds_are_in_networks_or_not(
    ends: tuple[socket.socket, socket.socket], address: str, allowed: bool
) -> None:
    networks = [ipaddress.ip_network(text) for text in ("10.1.0.0/16", "fd00::/8", "fe80::/10")]
    gate = Gate(networks, None, lambda *_: None)
    ends[1].sendall(b"\x01")
    if allowed:
        assert gate.admit(ends[0], address) is ends[0]
    else:
        with pytest.raises(Refused, match=r"receive\.allowed_networks"):
            gate.admit(ends[0], address)


def test_a_caller_that_says_nothing_is_given_up(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].settimeout(0.05)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        Gate([], None, lambda *_: None).admit(ends[0], "127.0.0.1")
    assert time.monotonic() - began >= 0.05


def test_a_caller_that_goes_without_a_word_is_no_refusal(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].close()
    with pytest.raises(ConnectionResetError):
        Gate([], None, lambda *_: None).admit(ends[0], "127.0.0.1")
