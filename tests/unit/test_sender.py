"""Sending: what each of a peer's answers means for a document, and what is done when there is none."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, SecondaryCaptureImageStorage
from pynetdicom import AE, build_context, evt

from cxr_node.dimse import contexts, sender
from cxr_node.dimse.sender import Peer
from cxr_node.domain.report_class import REPORT_CLASSES
from cxr_node.errors import CxrNodeError, Permanent, Transient
from tests import films

P_DATA_TF = 0x04

Server = Callable[..., Peer]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return films.write(films.chest(1), tmp_path / "film.dcm")


@pytest.fixture(scope="module")
def serve() -> Iterator[Server]:
    """Start a storage SCP that answers as `store` does; the peer."""
    servers = []

    def start(store: Callable[[evt.Event], Any] = lambda _: 0x0000, **settings: Any) -> Peer:
        ae = AE(ae_title="PEER")
        offered, also = settings.pop("contexts", contexts.offered()), settings.pop("also", [])
        for name, value in settings.items():
            setattr(ae, name, value)
        handlers: list[Any] = [(evt.EVT_C_STORE, store), *also]
        server = ae.start_server(("127.0.0.1", 0), block=False, contexts=offered, evt_handlers=handlers)
        assert server is not None
        servers.append(server)
        return Peer("pacs", "PEER", "127.0.0.1", server.server_address[1], timeout=60.0)

    yield start
    for server in servers:
        threading.Thread(target=server.shutdown).start()  # each takes half a second


@pytest.fixture(scope="module")
def answering(serve: Server) -> Callable[[int], Peer]:
    """A peer that answers every C-STORE with the status that is given."""
    statuses: list[int] = []
    peer = serve(lambda _: statuses[-1])

    def answer(status: int) -> Peer:
        statuses.append(status)
        return peer

    return answer


def raised(kind: type[CxrNodeError], peer: Peer, film: Path) -> CxrNodeError:
    with pytest.raises(kind) as failed:
        sender.send(peer, "CXR_NODE", film)
    assert "pacs" in failed.value.message
    return failed.value


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0x0111])
def test_success_warnings_and_a_duplicate_mean_that_the_peer_has_it(
    answering: Callable[[int], Peer], film: Path, status: int
) -> None:
    assert sender.send(answering(status), "CXR_NODE", film) == status


@pytest.mark.parametrize(
    ("status", "code"), [(0xA700, "PEER_OUT_OF_RESOURCES"), (0xA702, "PEER_OUT_OF_RESOURCES"), (0x0110, "PEER_FAULT")]
)
def test_what_may_pass_is_tried_again(answering: Callable[[int], Peer], film: Path, status: int, code: str) -> None:
    failure = raised(Transient, answering(status), film)
    assert failure.code == code
    assert f"0x{status:04X}" in failure.message


@pytest.mark.parametrize("status", [0xA900, 0xA901, 0xC000, 0xC211, 0x0122, 0x0124])
def test_what_the_peer_will_never_take_is_held(answering: Callable[[int], Peer], film: Path, status: int) -> None:
    failure = raised(Permanent, answering(status), film)
    assert failure.code == "PEER_REFUSED"
    assert f"0x{status:04X}" in failure.message


@pytest.mark.parametrize("syntax", [None, JPEG2000Lossless])
def test_the_bytes_of_the_file_are_what_is_sent(serve: Server, tmp_path: Path, syntax: str | None) -> None:
    film = films.chest(1) if syntax is None else films.encode(films.chest(1), syntax)
    path = films.write(film, tmp_path / "film.dcm")
    kept: list[bytes] = []

    def store(event: evt.Event) -> int:
        kept.append(event.encoded_dataset(include_meta=False))
        return 0x0000

    sender.send(serve(store), "CXR_NODE", path)
    assert path.read_bytes().endswith(kept[0])
    assert len(kept[0]) > len(dcmread(path).PixelData)


def test_a_peer_that_takes_no_such_class_or_syntax_is_said_by_name(serve: Server, film: Path) -> None:
    only = [context for context in contexts.offered() if context.abstract_syntax == SecondaryCaptureImageStorage]
    failure = raised(Permanent, serve(contexts=only), film)
    assert failure.code == "NO_CONTEXT"
    assert "Digital X-Ray Image Storage - For Presentation in Explicit VR Little Endian" in failure.message


def test_a_peer_that_does_not_know_us_is_tried_again_with_a_hint(serve: Server, film: Path) -> None:
    failure = raised(Transient, serve(require_calling_aet=["OTHER"]), film)
    assert failure.code == "REJECTED"
    assert "is the node's AE title known there?" in failure.message


def test_a_peer_that_is_full_for_the_moment_is_tried_again_without_it(serve: Server, film: Path) -> None:
    peer, ae = serve(maximum_associations=1), AE()
    ae.add_requested_context(contexts.VERIFICATION)
    busy = ae.associate(peer.host, peer.port)
    failure = raised(Transient, peer, film)
    busy.release()
    assert failure.code == "REJECTED"
    assert "?" not in failure.message


def test_a_peer_that_aborts_in_the_middle_is_tried_again(serve: Server, film: Path) -> None:
    def store(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    assert raised(Transient, serve(store), film).code in ("NO_ANSWER", "ASSOCIATION_LOST")


def test_a_peer_that_never_answers_is_given_up_after_the_timeout(film: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        peer = Peer("pacs", "PEER", "127.0.0.1", silent.getsockname()[1], timeout=0.3)
        assert raised(Transient, peer, film).code == "UNREACHABLE"


def test_a_peer_that_stops_reading_is_given_up_after_the_timeout(serve: Server, tmp_path: Path) -> None:
    large = films.chest(1)
    large.Rows, large.Columns, large.PixelData = 4000, 2000, bytes(16_000_000)
    path, done = films.write(large, tmp_path / "film.dcm"), threading.Event()

    def stop_reading(event: evt.Event) -> None:
        if event.data[0] == P_DATA_TF:
            done.wait(120)

    peer = replace(serve(also=[(evt.EVT_DATA_RECV, stop_reading)]), timeout=1.0)
    began = time.monotonic()
    try:
        raised(Transient, peer, path)
        assert time.monotonic() - began < 60
    finally:
        done.set()


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_peer_that_is_not_there_is_tried_again(film: Path, host: str) -> None:
    failure = raised(Transient, Peer("pacs", "PEER", host, 1, timeout=2.0), film)
    assert failure.code == "UNREACHABLE"
    assert f"(PEER at {host}:1)" in failure.message


def test_which_classes_a_peer_takes_is_asked_without_sending(serve: Server) -> None:
    classes = list(REPORT_CLASSES.values())
    taken = [build_context(classes[3]), build_context(classes[2])]
    assert sender.accepted(serve(contexts=taken), "CXR_NODE", classes) == classes[2:]
    with pytest.raises(sender.NoContext):
        sender.accepted(serve(contexts=[build_context(contexts.VERIFICATION)]), "CXR_NODE", classes)


def test_a_file_that_does_not_say_what_it_is_cannot_be_sent(serve: Server, tmp_path: Path) -> None:
    path = films.write(films.chest(1), tmp_path / "film.dcm")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x02\x00\x02\x00UI", b"\x02\x00\x04\x00UI", 1))
    with pytest.raises(CxrNodeError):
        sender.send(serve(), "CXR_NODE", path)


def test_sending_alone_logs_nothing_of_the_patient() -> None:
    program = "import cxr_node.dimse.sender, logging; print(logging.getLogger('pynetdicom').isEnabledFor(50))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_echo(serve: Server) -> None:
    sender.echo(serve(), "CXR_NODE")


def test_echo_is_refused_by_a_peer_that_offers_no_verification(serve: Server) -> None:
    with pytest.raises(Permanent, match="Verification"):
        sender.echo(serve(contexts=contexts.offered()[1:]), "CXR_NODE")


def test_a_process_that_is_interrupted_in_a_negotiation_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        asked = f"sender.echo(sender.Peer('pacs', 'PACS', '127.0.0.1', {port}, timeout=600), 'CXR_NODE')"
        script = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {asked}"
        command = [sys.executable, "-c", f"from cxr_node.dimse import sender; {script}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)  # of its A-ASSOCIATE-RQ: now it waits for the answer
                process.send_signal(signal.SIGINT)
                try:
                    _, said = process.communicate(timeout=60)
                finally:
                    process.kill()
    assert "KeyboardInterrupt" in said
