"""The listener, called by real associations over the loopback; what it hands over is taken by a double."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID, ExplicitVRBigEndian
from pynetdicom import AE
from pynetdicom.association import Association
from structlog.testing import capture_logs

from cxr_node.dimse import contexts, sender
from cxr_node.dimse.endpoint import Endpoint
from cxr_node.dimse.listener import Listener
from cxr_node.domain.intake import Answer, Received, Refusal, Verdict
from cxr_node.errors import ConfigError, Permanent, Transient
from cxr_node.imaging.digest import data_set_digest
from tests import films
from tests.node import wait_for

LOCAL = Endpoint("CXR_NODE", "127.0.0.1", 0, max_associations=8, max_pdu=131072, timeout=60.0)
NATIVE_SYNTAXES = [syntax for syntax in films.SYNTAXES if syntax not in films.NEEDS_DCMTK]
Listen = Callable[..., sender.Peer]
OFFERED = {*contexts.UNCOMPRESSED, *contexts.COMPRESSED}


class Recorder:
    """An intake that answers as it is told and remembers what it was given."""

    def __init__(self) -> None:
        self.verdict: Verdict | Exception = Verdict(Answer.STORED, study="1.2.3")
        self.taken: list[Received] = []
        self.digests: list[str] = []
        self.released_studies = threading.Event()
        self.studies: list[frozenset[str]] = []
        self.refusals: list[Refusal] = []
        self.no_room = False

    def accept(self, received: Received) -> Verdict:
        self.taken.append(received)
        self.digests.append(data_set_digest(received.path))
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict

    def released(self, studies: frozenset[str]) -> None:
        self.studies.append(studies)
        self.released_studies.set()

    def full(self) -> bool:
        return self.no_room

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)


@pytest.fixture
def intake() -> Recorder:
    return Recorder()


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


@pytest.fixture
def listeners() -> Iterator[list[Listener]]:
    """Those that were started; they are stopped in the end."""
    started: list[Listener] = []
    yield started
    for listener in started:
        listener.stop(grace=2.0)
        assert not listener.alive()


@pytest.fixture
def listen(intake: Recorder, incoming: Path, listeners: list[Listener]) -> Listen:
    """Start a listener with other settings than LOCAL's, if any; how to call it."""

    def start(**settings: Any) -> sender.Peer:
        listener = Listener(replace(LOCAL, **settings), intake, incoming, refused=intake.refused)
        listener.start()
        listeners.append(listener)
        assert listener.alive()
        return sender.Peer("node", "CXR_NODE", "127.0.0.1", listener.port, timeout=60.0)

    return start


def associate(peer: sender.Peer, **settings: Any) -> Association:
    ae = AE(ae_title="MODALITY")
    for name, value in settings.items():
        setattr(ae, name, value)
    ae.add_requested_context(contexts.VERIFICATION)
    for film in contexts.FILMS:
        ae.add_requested_context(film)
    return ae.associate(peer.host, peer.port, ae_title=peer.ae_title)


def test_echo(listen: Listen) -> None:
    sender.echo(listen(), "MODALITY")


@pytest.mark.parametrize(
    "syntax",
    [*NATIVE_SYNTAXES, *(pytest.param(each, marks=pytest.mark.peers) for each in sorted(films.NEEDS_DCMTK & OFFERED))],
    ids=lambda syntax: UID(syntax).name,
)
def test_bytes_are_kept_as_they_were_sent(
    listen: Listen, intake: Recorder, incoming: Path, tmp_path: Path, syntax: str
) -> None:
    film = films.encode(films.chest(1), syntax)
    path = films.write(film, tmp_path / "film.dcm")
    assert sender.send(listen(), "MODALITY", path) == Answer.STORED
    (received,) = intake.taken
    assert intake.digests == [data_set_digest(path)]
    assert (received.transfer_syntax, received.calling_ae_title, received.error) == (syntax, "MODALITY", None)
    assert (received.sop_class_uid, received.sop_instance_uid) == (film.SOPClassUID, film.SOPInstanceUID)
    assert received.path.parent == incoming
    assert list(incoming.iterdir()) == [], "what the intake did not take is gone"


def test_every_syntax_that_films_come_in_is_offered() -> None:
    assert set(films.SYNTAXES) - OFFERED == {ExplicitVRBigEndian}, "retired, and refused"


@pytest.mark.parametrize("answer", [Answer.FAULT, Answer.OUT_OF_RESOURCES, Answer.MISMATCH, Answer.NOT_UNDERSTOOD])
def test_the_sender_is_told_the_verdict_and_why(listen: Listen, intake: Recorder, answer: Answer) -> None:
    intake.verdict = Verdict(answer, "a sentence that is longer than the sixty-four characters of a comment")
    association = associate(listen())
    status = association.send_c_store(films.chest(1))
    association.release()
    assert status.Status == answer
    assert status.ErrorComment == intake.verdict.comment[:64]


def test_an_intake_that_fails_is_our_own_fault_and_keeps_the_association(listen: Listen, intake: Recorder) -> None:
    association = associate(listen())
    intake.verdict = ZeroDivisionError()
    with capture_logs() as logs:
        assert association.send_c_store(films.chest(1)).Status == Answer.FAULT
    assert [entry["event"] for entry in logs] == ["instance.fault"]
    intake.verdict = Verdict(Answer.STORED)
    assert association.send_c_store(films.chest(2)).Status == Answer.STORED
    association.release()


def test_the_end_of_an_association_names_the_studies_it_brought(listen: Listen, intake: Recorder) -> None:
    association = associate(listen())
    for number, study in enumerate(("1.2.3", "1.2.4", "1.2.3", None)):
        intake.verdict = Verdict(Answer.STORED, study=study)
        association.send_c_store(films.chest(number))
    assert intake.studies == []
    association.release()
    assert intake.released_studies.wait(60)
    assert intake.studies == [frozenset({"1.2.3", "1.2.4"})]


def rejected(peer: sender.Peer, **settings: Any) -> tuple[int, int, int]:
    """Result, source and reason of the rejection that a caller meets (PS3.8 9.3.4)."""
    association = associate(peer, **settings)
    assert association.is_rejected
    answer: Any = association.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def test_only_the_calling_titles_that_are_allowed(listen: Listen, intake: Recorder) -> None:
    peer = listen(allowed_ae_titles=["CT1"])
    sender.echo(peer, "CT1")
    with pytest.raises(Transient, match="rejected the association"):
        sender.echo(peer, "CT2")
    assert rejected(peer) == (1, 1, 3)
    assert [(one.event, one.calling, one.address) for one in intake.refusals] == [
        ("association.rejected", "CT2", "127.0.0.1")
    ], "and what follows from there is only counted"
    assert "receive.allowed_ae_titles" in intake.refusals[0].reason


def test_any_called_title_unless_the_site_wants_its_own(listen: Listen, intake: Recorder) -> None:
    sender.echo(replace(listen(), ae_title="ANY-SCP"), "MODALITY")
    strict = listen(require_called_ae_title=True)
    sender.echo(strict, "MODALITY")
    assert rejected(replace(strict, ae_title="ANY-SCP")) == (1, 1, 7)
    assert ["node.ae_title" in one.reason for one in intake.refusals] == [True]


@pytest.mark.parametrize(("network", "allowed"), [("127.0.0.0/8", True), ("10.0.0.0/8", False)])
def test_only_the_networks_that_are_allowed(listen: Listen, intake: Recorder, network: str, allowed: bool) -> None:
    association = associate(listen(allowed_networks=[network]))
    assert association.is_established is allowed
    association.release()
    assert [(one.event, one.address) for one in intake.refusals] == (
        [] if allowed else [("connection.refused", "127.0.0.1")]
    )


def test_an_ipv4_network_where_the_listener_stands_on_ipv6(listen: Listen) -> None:
    peer = listen(host="::", allowed_networks=["127.0.0.0/8"])
    sender.echo(peer, "MODALITY")
    assert not associate(replace(peer, host="::1")).is_established


def test_more_associations_than_the_cap_are_rejected_for_the_moment(listen: Listen, intake: Recorder) -> None:
    peer = listen(max_associations=1)
    first = associate(peer)
    assert rejected(peer) == (2, 3, 2), "transient: the sender tries again"
    assert "receive.max_associations" in intake.refusals[0].reason
    first.release()
    second = wait_for(lambda: (again := associate(peer)).is_established and again, what="a place that is free again")
    second.release()


def test_places_are_kept_for_callers_that_send_no_objects(listen: Listen) -> None:
    peer = listen(max_associations=16)
    senders = [associate(peer) for _ in range(14)]
    assert all(association.is_established for association in senders)
    assert rejected(peer) == (2, 3, 2)

    ae = AE()
    ae.add_requested_context(contexts.VERIFICATION)
    readers = [ae.associate(peer.host, peer.port) for _ in range(3)]
    assert [association.is_established for association in readers] == [True, True, False]
    for association in (*senders, *readers):
        association.release()


@pytest.mark.parametrize("size", [16384, 131072])
def test_the_pdu_size_of_the_site_is_offered(listen: Listen, size: int) -> None:
    association = associate(listen(max_pdu=size))
    assert association.acceptor.maximum_length == size
    association.release()


def test_what_a_peer_sends_along_is_taken_too(listen: Listen) -> None:
    peer = listen()
    ae = AE()
    for uid in contexts.ALONG_THE_WAY:
        ae.add_requested_context(uid)
    association = ae.associate(peer.host, peer.port)
    assert len(association.accepted_contexts) == len(contexts.ALONG_THE_WAY)
    association.release()


def test_a_class_that_is_not_offered_is_refused_by_name(listen: Listen, tmp_path: Path) -> None:
    ct = films.write(films.chest(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), tmp_path / "ct.dcm")
    with pytest.raises(Permanent, match="accepts no CT Image Storage"):
        sender.send(listen(), "MODALITY", ct)


def test_an_association_that_breaks_off_leaves_no_part_and_no_film(
    listen: Listen, intake: Recorder, incoming: Path
) -> None:
    peer = listen(max_pdu=16384)
    association = associate(peer)
    broken = threading.Event()
    send, pieces = association.dul.socket.send, iter(range(5))

    def cut(data: bytes) -> None:
        if next(pieces, None) is None:
            association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
            broken.set()
        else:
            send(data)

    association.dul.socket.send = cut  # type: ignore[method-assign]
    association.send_c_store(films.chest(1))
    assert broken.is_set()
    sender.echo(peer, "MODALITY")
    wait_for(lambda: list(incoming.iterdir()) == [], what="the end of its part")
    assert intake.taken == []


def test_a_port_that_is_taken_is_a_mistake_of_the_configuration(listen: Listen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="cannot listen on 127"):
        listen(port=taken.getsockname()[1])


def test_stopping_lets_an_association_finish(listen: Listen, listeners: list[Listener]) -> None:
    peer = listen()
    association = associate(peer)
    stopping = threading.Thread(target=listeners[0].stop, args=(60.0,))
    stopping.start()
    assert association.send_c_store(films.chest(1)).Status == Answer.STORED
    association.release()
    stopping.join(60)
    assert not stopping.is_alive()
    with pytest.raises(Transient):
        sender.echo(peer, "MODALITY")


def test_stopping_waits_no_longer_than_its_grace(listen: Listen, listeners: list[Listener]) -> None:
    association = associate(listen())
    listeners[0].stop(grace=0.0)
    association.join(60)
    assert association.is_aborted
