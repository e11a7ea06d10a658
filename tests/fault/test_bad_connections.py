"""Connections that break off, say nothing, say nonsense or say too much: no part stays, no place stays taken."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import pytest
from pydicom.dataset import FileDataset
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF

from tests.fault.half import half_sent, in_pieces
from tests.films import chest
from tests.node import TIMEOUT, Node, wait_for

pytestmark = pytest.mark.fault

SILENCE_SECONDS = 2


@pytest.fixture(scope="module")
def _impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("impatient")
    with Node(
        folder, receive__timeout_seconds=SILENCE_SECONDS, receive__max_associations=3, receive__max_pdu=16384
    ) as node:
        yield node


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that serves three at once, and whose time-outs would outlast any test."""
    with Node(tmp_path_factory.mktemp("patient"), receive__timeout_seconds=600, receive__max_associations=3) as node:
        yield node


@pytest.fixture
def impatient(_impatient: Node) -> Iterator[Node]:
    """A node that waits two seconds for a peer and serves three at once; afterwards it has no part and does answer."""
    yield _impatient
    wait_for(lambda: not _impatient.files("incoming"), what="an empty folder of parts")
    assert _impatient.echoes()


def connect(node: Node) -> socket.socket:
    return socket.create_connection(("127.0.0.1", node.port), timeout=TIMEOUT)


def ended(peer: socket.socket) -> bool:
    """Whether the node closes a connection; a time-out of the socket's own says that it did not."""
    try:
        while peer.recv(4096):
            pass
    except ConnectionResetError:
        return True
    return True


def test_an_association_that_is_aborted_within_a_data_set(impatient: Node) -> None:
    film = chest()
    with half_sent(impatient, film) as (association, _):
        wait_for(lambda: impatient.files("incoming"), what="a part")
        association.abort()

        wait_for(lambda: impatient.logged("association.broken"), what="a line in the log")
    assert not impatient.study(film.StudyInstanceUID)


RELEASE, ABORT = (bytes((kind, 0, 0, 0, 0, 4, 0, 0, 0, 0)) for kind in (5, 7))  # PS3.8 9.3.6 and 9.3.8
STATES = {
    "before it is accepted": 0,
    "once it is accepted": 1,
    "after a command": 2,
    "within a data set": 3,
    "before the answer": 4,
    "while it is released": 5,
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_an_abort_in_any_state(impatient: Node, state: int) -> None:
    """The whole conversation up to a state as raw bytes, and then A-ABORT."""
    film = chest()
    said = conversation(impatient, film)
    with closing(connect(impatient)) as peer:
        peer.sendall(said.request)
        if state > 0:
            assert peer.recv(1) == b"\x02"  # A-ASSOCIATE-AC
        peer.sendall(b"".join(said.pieces[: (0, 0, 1, 3, len(said.pieces), 0)[state]]))
        if state == 5:
            peer.sendall(RELEASE)
        peer.sendall(ABORT)

        assert ended(peer)
    assert len(impatient.study(film.StudyInstanceUID).get("instances", [])) <= (1 if state == 4 else 0)


class Conversation(NamedTuple):
    """The bytes of an A-ASSOCIATE-RQ, and of each P-DATA-TF of the C-STORE that follows."""

    request: bytes
    pieces: list[bytes]


def conversation(node: Node, film: FileDataset) -> Conversation:
    with node.association((film.SOPClassUID, film.file_meta.TransferSyntaxUID)) as association:
        request = A_ASSOCIATE_RQ()
        request.from_primitive(association.requestor.primitive)
        pieces = []
        for primitive in in_pieces(node, film, association):
            pdu = P_DATA_TF()
            pdu.from_primitive(primitive)
            pieces.append(pdu.encode())
        return Conversation(request.encode(), pieces)


def test_a_connection_that_breaks_within_a_data_set(impatient: Node) -> None:
    film = chest()
    with half_sent(impatient, film) as (association, _):
        wait_for(lambda: impatient.files("incoming"), what="a part")
        transport: Any = association.dul.socket
        transport.socket.shutdown(socket.SHUT_RDWR)

        wait_for(lambda: not impatient.files("incoming"), what="an empty folder of parts")
    assert not impatient.study(film.StudyInstanceUID)


def test_a_sender_that_falls_silent_within_a_data_set(impatient: Node) -> None:
    film = chest()
    with half_sent(impatient, film) as (association, _):
        wait_for(lambda: impatient.files("incoming"), what="a part")

        wait_for(lambda: not association.is_established, what="the end of the association")
    assert not impatient.study(film.StudyInstanceUID)


def test_an_association_that_falls_silent(impatient: Node) -> None:
    with impatient.association() as association:
        assert association.send_c_echo().Status == 0x0000

        wait_for(lambda: not association.is_established, what="the end of the association")


FIRST_WORDS = {
    "nothing": b"",
    "a web request": b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
    "noise": bytes(range(255, -1, -1)) * 8,
    "half a request": b"\x01\x00\x00\x00\x00\xce\x00\x01",
    "an unknown PDU": b"\x2a\x00\x00\x00\x00\x04abcd",
    "data before a request": b"\x04\x00\x00\x00\x00\x04abcd",
    "a PDU of 4 gigabytes": b"\x01\x00\xff\xff\xff\xff" + bytes(1000),
}


@pytest.mark.parametrize("words", FIRST_WORDS.values(), ids=FIRST_WORDS.keys())
def test_a_connection_that_is_no_association(impatient: Node, words: bytes) -> None:
    with closing(connect(impatient)) as peer:
        peer.sendall(words)

        assert ended(peer)


def test_a_pdu_that_trickles_in(impatient: Node) -> None:
    with closing(connect(impatient)) as peer:
        peer.sendall(b"\x01\x00\x00\x10\x00\x00")

        def refused() -> bool:
            try:
                peer.sendall(b"\x00")
            except OSError:
                return True
            return False

        wait_for(refused, what="the end of the connection")


def test_connections_that_come_and_go_take_no_places(patient: Node) -> None:
    """As those of port scanners and of load balancers' health checks."""
    for words in [*FIRST_WORDS.values()] * 2:
        with closing(connect(patient)) as peer:
            peer.sendall(words)

    wait_for(patient.echoes, what="an answer to C-ECHO")


def test_the_cap_on_associations(patient: Node) -> None:
    with ExitStack() as several:
        held = [several.enter_context(patient.association()) for _ in range(4)]
        assert [association.is_established for association in held] == [True, True, True, False]
        answer: Any = held[3].acceptor.primitive
        assert answer.result_str == "Rejected Transient"
        assert patient.logged("association.rejected")
    wait_for(patient.echoes, what="an answer to C-ECHO")
