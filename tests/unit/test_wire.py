"""The way of an object from the socket to its part: these fail when pynetdicom changes underneath."""

import inspect
import os
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from pynetdicom import AE, dul
from pynetdicom.association import Association

from cxr_node.dimse.reception import Part
from cxr_node.dimse.wire import Connection

OFFERED = 16384


@pytest.fixture
def ends() -> Iterator[tuple[Connection, socket.socket]]:
    """The node's end of a connection, and the caller's."""
    ours, theirs = socket.socketpair()
    ae = AE()
    ae.network_timeout = 0.5
    association = Association(ae, "acceptor")
    association.acceptor.maximum_length = OFFERED
    with ours, theirs:
        ours.settimeout(10)
        yield Connection(association, client_socket=ours), theirs


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Part]:
    part = Part(tmp_path)
    yield part
    part.discard()


def fragment(data: bytes, control: int = 0, context: int = 3) -> bytes:
    return (len(data) + 2).to_bytes(4) + bytes([context, control]) + data


def pdu(*fragments: bytes, kind: int = 4) -> bytes:
    content = b"".join(fragments)
    return bytes([kind, 0]) + len(content).to_bytes(4) + content


def test_fragments_go_into_the_part_until_the_last(ends: tuple[Connection, socket.socket], part: Part) -> None:
    connection, peer = ends
    content = os.urandom(1 << 20)
    sizes = [1, 9999, OFFERED] * 30
    starts = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    pieces = [content[start:end] for start, end in pairwise(starts)]
    sent = b"".join([*(pdu(fragment(piece)) for piece in pieces), pdu(fragment(b"end", control=2))])
    threading.Thread(target=peer.sendall, args=(sent,)).start()
    assert [connection.take(part) for _ in pieces] == [(3, False)] * len(pieces)
    assert connection.take(part) == (3, True)
    part.store()
    assert Path(part.name).read_bytes() == b"".join(pieces) + b"end"


@pytest.mark.parametrize(
    "sent",
    [
        pdu(fragment(b"a"), fragment(b"b", control=2)),
        pdu(fragment(b"a command", control=1)),
        pdu(b"\0\0\0\0", kind=7),
        pdu(b"\0\0\0", kind=4),
        pdu((99).to_bytes(4) + b"\1\0abc"),
        b"\4\0\0",
        b"",
    ],
    ids=["two", "command", "abort", "too short", "of a false length", "broken off", "closed"],
)
def test_all_else_is_left_to_pynetdicom(ends: tuple[Connection, socket.socket], part: Part, sent: bytes) -> None:
    connection, peer = ends
    peer.sendall(sent)
    peer.close()
    assert connection.take(part) is None
    assert not sent or connection.ready
    assert connection.recv(6) + connection.recv(max(0, len(sent) - 6)) == sent
    part.store()
    assert Path(part.name).stat().st_size == 0


def test_a_fragment_longer_than_it_may_be_is_refused(ends: tuple[Connection, socket.socket], part: Part) -> None:
    connection, peer = ends
    peer.sendall(pdu(fragment(bytes(4 * OFFERED + 1)))[:20])
    with pytest.raises(OSError, match="a PDU of"):
        connection.take(part)


def test_a_connection_that_ends_within_a_fragment(ends: tuple[Connection, socket.socket], part: Part) -> None:
    connection, peer = ends
    peer.sendall(pdu(fragment(bytes(1000)))[:500])
    peer.close()
    with pytest.raises(ConnectionResetError):
        connection.take(part)


def test_a_fragment_that_trickles_in_is_given_up(ends: tuple[Connection, socket.socket], part: Part) -> None:
    connection, peer = ends
    peer.sendall(pdu(fragment(bytes(1000)))[:500])
    threading.Timer(0.7, peer.sendall, [b"x"]).start()
    with pytest.raises(TimeoutError):
        connection.take(part)


def test_what_comes_soon_is_waited_for(ends: tuple[Connection, socket.socket]) -> None:
    connection, peer = ends
    threading.Timer(0.1, peer.sendall, [b"x"]).start()
    assert not connection.more(0)
    assert connection.more(5000)


def test_pynetdicom_reads_through_what_is_replaced() -> None:
    assert "self._read_pdu_data()" in inspect.getsource(dul.DULServiceProvider._is_transport_event)
    original = inspect.getsource(dul.DULServiceProvider._read_pdu_data)
    for used in ("self._decode_pdu(bytestream)", "self.event_queue.put(event)", "self._recv_pdu.put(pdu)"):
        assert used in original
