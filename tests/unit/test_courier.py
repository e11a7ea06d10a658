"""Documents over associations that are kept: one serves many, and one that a peer has ended costs no document."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation as DX
from pydicom.uid import SecondaryCaptureImageStorage as SC
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association

from cxr_node.dimse.contexts import offered
from cxr_node.dimse.courier import Courier
from cxr_node.dimse.sender import NoContext, Peer
from cxr_node.errors import CxrNodeError, Permanent, Transient
from tests import films
from tests.node import wait_for


@dataclass
class Destination:
    """A storage SCP that remembers its associations, and counts those that were released."""

    answer: Callable[[evt.Event], int] = lambda _: 0x0000
    contexts: list[Any] = field(default_factory=offered)
    stored: list[str] = field(default_factory=list)
    accepted: list[Association] = field(default_factory=list)
    released: int = 0

    def start(self) -> Any:
        ae = AE(ae_title="PEER")
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_RELEASED, self._released),
        ]
        self.server: Any = ae.start_server(("127.0.0.1", 0), block=False, contexts=self.contexts, evt_handlers=handlers)
        return self.server

    @property
    def opened(self) -> int:
        return len(self.accepted)

    def peer(self, idle: float = 300.0) -> Peer:
        return Peer("pacs", "PEER", "127.0.0.1", self.server.server_address[1], timeout=60.0, idle=idle)

    def _store(self, event: evt.Event) -> int:
        status = self.answer(event)
        if status == 0x0000:
            self.stored.append(str(event.request.AffectedSOPInstanceUID))  # type: ignore[attr-defined]
        return status

    def _accepted(self, event: evt.Event) -> None:
        self.accepted.append(event.assoc)

    def _released(self, _: evt.Event) -> None:
        self.released += 1


@pytest.fixture
def destination() -> Iterator[Destination]:
    found = Destination()
    server = found.start()
    yield found
    threading.Thread(target=server.shutdown).start()  # half a second


@pytest.fixture
def courier() -> Iterator[Courier]:
    made = Courier("CXR_NODE", [DX, SC])
    yield made
    made.close()


@pytest.fixture
def documents(tmp_path: Path) -> list[Path]:
    made = [films.chest(1), films.chest(2, SOPClassUID=SC), films.chest(3)]
    return [films.write(film, tmp_path / f"{film.PatientID}.dcm") for film in made]


def test_documents_of_several_classes_go_over_one_association(
    destination: Destination, courier: Courier, documents: list[Path]
) -> None:
    assert [courier.send(destination.peer(), path) for path in documents] == [0x0000] * 3
    assert (len(destination.stored), destination.opened, destination.released) == (3, 1, 0)
    courier.close()
    wait_for(lambda: destination.released == 1, what="its release")


def test_with_no_time_to_wait_each_document_has_its_own(
    destination: Destination, courier: Courier, documents: list[Path]
) -> None:
    for path in documents:
        courier.send(destination.peer(idle=0), path)
    assert destination.opened == 3
    wait_for(lambda: destination.released == 3, what="the release of each")


def test_one_that_lies_idle_is_released_and_the_next_document_opens_another(
    destination: Destination, courier: Courier, documents: list[Path]
) -> None:
    courier.send(destination.peer(idle=0.05), documents[0])
    wait_for(lambda: destination.released == 1, what="its release")
    courier.send(destination.peer(idle=0.05), documents[1])
    assert (destination.opened, len(destination.stored)) == (2, 2)


@pytest.mark.parametrize("how", ["abort", "close"])
def test_a_peer_that_ends_it_in_between_costs_no_document(
    destination: Destination, courier: Courier, documents: list[Path], how: str
) -> None:
    for path in documents:
        assert courier.send(destination.peer(), path) == 0x0000
        (association,) = destination.accepted[-1:]
        association.abort() if how == "abort" else association.dul.socket.close()
    assert (len(destination.stored), destination.opened) == (3, 3)


def test_a_peer_that_ends_it_at_the_next_document_gets_that_over_a_new_one(courier: Courier, tmp_path: Path) -> None:
    asked: list[str] = []

    def second_aborts(event: evt.Event) -> int:
        asked.append(str(event.request.AffectedSOPInstanceUID))  # type: ignore[attr-defined]
        if len(asked) == 2:
            event.assoc.abort()
        return 0x0000

    destination = Destination(answer=second_aborts)
    server = destination.start()
    paths = [films.write(films.chest(number), tmp_path / f"{number}.dcm") for number in (1, 2)]
    assert [courier.send(destination.peer(), path) for path in paths] == [0x0000] * 2
    assert len(set(asked)) == 2
    assert asked[1] == asked[2]
    threading.Thread(target=server.shutdown).start()


def test_one_that_is_lost_and_does_not_know_it_yet_is_not_kept(
    destination: Destination, courier: Courier, documents: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: object, path: object) -> None:
        monkeypatch.undo()  # the next association is sound
        raise RuntimeError

    courier.send(destination.peer(), documents[0])
    monkeypatch.setattr(Association, "send_c_store", lost)
    for path in documents[1:]:
        courier.send(destination.peer(), path)
    assert (len(destination.stored), destination.opened, destination.released) == (3, 2, 0)


def test_a_new_one_that_is_lost_is_a_failure(courier: Courier, documents: list[Path]) -> None:
    def abort(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    destination = Destination(answer=abort)
    server = destination.start()
    with pytest.raises(Transient) as failed:
        courier.send(destination.peer(), documents[0])
    assert failed.value.code in ("NO_ANSWER", "ASSOCIATION_LOST")
    assert destination.opened == 1
    threading.Thread(target=server.shutdown).start()


def test_an_answer_is_no_end(courier: Courier, documents: list[Path]) -> None:
    statuses = iter([0xA700, 0xC000, 0x0000])
    destination = Destination(answer=lambda _: next(statuses))
    server = destination.start()
    for kind in (Transient, Permanent):
        with pytest.raises(kind):
            courier.send(destination.peer(), documents[0])
    assert courier.send(destination.peer(), documents[1]) == 0x0000
    assert destination.opened == 1
    threading.Thread(target=server.shutdown).start()


@pytest.mark.parametrize("kept", [False, True])
def test_a_class_that_the_peer_does_not_take_is_said_by_name(
    courier: Courier, documents: list[Path], kept: bool
) -> None:
    destination = Destination(contexts=[build_context(DX)])
    server = destination.start()
    if kept:
        courier.send(destination.peer(), documents[0])
    with pytest.raises(NoContext, match="Secondary Capture Image Storage in Explicit VR Little Endian"):
        courier.send(destination.peer(), documents[1])
    assert courier.send(destination.peer(), documents[2]) == 0x0000
    assert destination.opened == 1
    threading.Thread(target=server.shutdown).start()


def test_a_peer_that_does_not_answer_holds_up_no_end(destination: Destination, documents: list[Path]) -> None:
    release_request, going = 0x05, threading.Event()

    def silent(event: evt.Event) -> None:
        if event.data[0] == release_request:
            going.wait(30)

    destination.server.bind(evt.EVT_DATA_RECV, silent)
    courier = Courier("CXR_NODE", [DX])
    courier.send(destination.peer(), documents[0])
    courier.close()
    assert destination.released == 0, "it did not wait for the answer"
    going.set()


def test_peers_do_not_wait_for_each_other(courier: Courier, documents: list[Path]) -> None:
    going = threading.Event()

    def wait(_: evt.Event) -> int:
        going.wait(60)
        return 0x0000

    slow, quick = Destination(answer=wait), Destination()
    servers = [slow.start(), quick.start()]
    failures: list[CxrNodeError] = []

    def send() -> None:
        try:
            courier.send(slow.peer(), documents[0])
        except CxrNodeError as failure:
            failures.append(failure)

    waiting = threading.Thread(target=send)
    waiting.start()
    assert courier.send(quick.peer(), documents[1]) == 0x0000
    assert slow.stored == []
    going.set()
    waiting.join()
    assert (len(slow.stored), failures) == (1, [])
    for server in servers:
        threading.Thread(target=server.shutdown).start()
