"""A node that takes TLS only, called by dcmtk's tools; and what it says of those who call it otherwise."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cxr_node import tls
from cxr_node.domain.workitem import GLOBAL
from cxr_node.tls import Identity, PemFile
from tests.certificates import Authority, Pair
from tests.films import chest
from tests.node import TIMEOUT, Node, wait_for
from tests.orders import Ris as Orders
from tests.orthanc import Orthanc
from tests.steps import Watcher, Workstation

pytestmark = pytest.mark.peers

ECHOSCU, STORESCU = "/usr/bin/echoscu", "/usr/bin/storescu"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("hospital"), "hospital")


@pytest.fixture(scope="module")
def modality(hospital: Authority) -> Pair:
    return hospital.issue("modality")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, hospital: Authority) -> Iterator[Node]:
    """A node that takes TLS only, from callers with a certificate of the hospital's authority."""
    own = hospital.issue("node")
    with Node(
        tmp_path_factory.mktemp("secure"), tls__certificate=own.certificate, tls__key=own.key, tls__ca=hospital.pem
    ) as node:
        yield node


def call(node: Node, *options: str | Path, tool: str = ECHOSCU) -> bool:
    """Whether one of dcmtk's tools succeeds; options in front of the peer, files behind it."""
    before = [option for option in options if not str(option).endswith(".dcm")]
    files = [option for option in options if str(option).endswith(".dcm")]
    command = [tool, "-aec", "CXR_NODE", *before, "127.0.0.1", str(node.port), *files]
    return subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT).returncode == 0


def speaking(pair: Pair, authority: Authority) -> tuple[str | Path, ...]:
    return ("+tls", pair.key, pair.certificate, "+cf", authority.pem)


def refused(node: Node, reason: str) -> bool:
    """Whether a refusal for this reason comes into the trail of events, and stands in the log."""
    event = wait_for(
        lambda: [event for event in node.events("connection.refused") if reason in event["reason"]],
        what=f"an event that says {reason!r}",
    )[0]
    logged = [line for line in node.logged("connection.refused") if reason in line["reason"]]
    return event["address"] == "127.0.0.1" and len(logged) == 1


def test_a_film_over_tls_goes_its_way(secure: Node, hospital: Authority, modality: Pair) -> None:
    film = chest()
    assert call(secure, *speaking(modality, hospital), "-xe", secure.written(film), tool=STORESCU)
    (study,) = secure.wait_final(film.StudyInstanceUID)
    assert len(study["outputs"]) == 2


def test_a_caller_without_a_certificate(secure: Node) -> None:
    assert not call(secure, "+tla", "-ic")
    assert refused(secure, "peer did not return a certificate")


def test_a_caller_of_another_authority(secure: Node, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "elsewhere").issue("stranger")
    assert not call(secure, "+tls", stranger.key, stranger.certificate, "-ic")
    assert refused(secure, "its certificate is not accepted: unable to get local issuer certificate")


def test_a_caller_whose_certificate_has_expired(secure: Node, hospital: Authority) -> None:
    assert not call(secure, *speaking(hospital.issue("expired", days=-1), hospital))
    assert refused(secure, "its certificate is not accepted: certificate has expired")


def test_a_caller_that_does_not_trust_the_node(secure: Node, modality: Pair, tmp_path: Path) -> None:
    assert not call(secure, *speaking(modality, Authority(tmp_path, "elsewhere")))
    assert refused(secure, "unknown ca")


def test_a_caller_with_old_cipher_suites(secure: Node, hospital: Authority, modality: Pair) -> None:
    assert not call(secure, *speaking(modality, hospital), "+pa", "+cs", "TLS_RSA_WITH_AES_128_CBC_SHA")
    assert refused(secure, "no shared cipher")


def test_a_caller_with_an_old_protocol(secure: Node) -> None:
    address = f"127.0.0.1:{secure.port}"
    asked = subprocess.run(
        ["openssl", "s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect", address],
        input=b"", capture_output=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip
    assert asked.returncode != 0
    assert refused(secure, "unsupported protocol")


def test_a_caller_that_speaks_no_tls(secure: Node) -> None:
    assert not call(secure)
    assert refused(secure, "it speaks no TLS, as it must here")


def test_callers_that_never_shake_hands_hold_nobody_up(secure: Node, hospital: Authority, modality: Pair) -> None:
    with ExitStack() as silent:
        for words in (b"", b"\x16", b"\x16\x03\x01\x40\x00"):
            peer = silent.enter_context(socket.create_connection(("127.0.0.1", secure.port), timeout=TIMEOUT))
            peer.sendall(words)
        assert call(secure, *speaking(modality, hospital))


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory, hospital: Authority) -> Path:
    """A folder as systemd makes it for LoadCredential=, with a certificate and its key."""
    folder, own = tmp_path_factory.mktemp("credentials"), hospital.issue("sender")
    own.certificate.rename(folder / "node.pem")
    own.key.rename(folder / "node.key")
    return folder


@pytest.fixture(scope="module")
def sending(
    tmp_path_factory: pytest.TempPathFactory, hospital: Authority, credentials: Path
) -> Iterator[tuple[Node, Orthanc]]:
    """A node that listens without TLS, and its destination, which asks for TLS and a certificate."""
    folder, theirs = tmp_path_factory.mktemp("sending"), hospital.issue("pacs")
    settings = {
        "DicomTlsEnabled": True, "DicomTlsCertificate": str(theirs.certificate), "DicomTlsPrivateKey": str(theirs.key),
        "DicomTlsTrustedCertificates": str(hospital.pem), "DicomTlsRemoteCertificateRequired": True,
    }  # fmt: skip
    with (
        Orthanc(folder, settings=settings) as pacs,
        Node(
            folder, destinations=[pacs.destination(tls=True)], environment={"CREDENTIALS_DIRECTORY": str(credentials)},
            tls__certificate="credential:node.pem", tls__key="credential:node.key", tls__ca=hospital.pem,
            tls__listener=False, log__level="debug",
        ) as node,
    ):  # fmt: skip
        yield node, pacs


def test_documents_over_tls_and_a_secret_that_is_seen_nowhere(sending: tuple[Node, Orthanc], credentials: Path) -> None:
    (node, pacs), film = sending, chest()
    node.send(film)
    wait_for(lambda: pacs.modalities(film.StudyInstanceUID) == ["OT", "SR"], what="both documents")
    checked = node.command("check")
    assert "answers C-ECHO" in checked.stdout
    assert "node.pem is valid until" in checked.stdout

    seen = node.log() + checked.stdout + checked.stderr
    secret = (credentials / "node.key").read_text().splitlines()
    assert [line for line in ("PRIVATE KEY", *secret[1:-1]) if line in seen] == []


def test_a_caller_that_speaks_tls_where_there_is_none(
    sending: tuple[Node, Orthanc], hospital: Authority, modality: Pair
) -> None:
    node, _ = sending
    assert not call(node, *speaking(modality, hospital))
    assert refused(node, "it speaks TLS, and here is none")
    assert node.echoes()


def test_subscribers_and_the_ris_are_called_over_tls(hospital: Authority, tmp_path: Path) -> None:
    """A film comes; the RIS is asked how urgent it is, and a workstation hears of it."""
    peer = hospital.issue("workstation")
    shown = tls.server(Identity(PemFile("certificate", peer.certificate), PemFile("key", peer.key)), None)
    film = chest(AccessionNumber="A1", PatientID="P1")
    with Watcher(tls=shown) as watcher, Orders(("A1", "P1", "STAT"), tls=shown) as ris:
        viewer = {"ae_title": "WATCHER", "host": "127.0.0.1", "port": watcher.port, "tls": True}
        asked = {"ae_title": "RIS", "host": "127.0.0.1", "port": ris.port, "tls": True}
        node = Node(tmp_path, subscribers=[viewer], worklist__ris=asked, tls__ca=hospital.pem)
        with node:
            with Workstation(node.port) as station:
                assert station.subscribe(GLOBAL, "WATCHER") == 0x0000
            node.send(film)
            wait_for(lambda: watcher.states() == ["SCHEDULED"], what="a report")
            wait_for(lambda: node.worklist()[0]["priority"] == "stat", what="the priority of the RIS")
