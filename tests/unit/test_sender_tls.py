"""Sending over TLS to dcmtk's storescp: what is sent arrives, and what keeps it from being sent is said."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from cxr_node import tls
from cxr_node.dimse import sender
from cxr_node.dimse.sender import Peer
from cxr_node.errors import ConfigError, Transient
from cxr_node.tls import Identity, PemFile
from tests import films
from tests.certificates import Authority, Pair
from tests.node import free_port, listens, wait_for

pytestmark = pytest.mark.peers

STORESCP = "/usr/bin/storescp"
Serve = Callable[..., Peer]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("hospital"), "hospital")


@pytest.fixture(scope="module")
def pacs(hospital: Authority) -> Pair:
    return hospital.issue("pacs")


@pytest.fixture
def received(tmp_path: Path) -> Path:
    (tmp_path / "received").mkdir()
    return tmp_path / "received"


@pytest.fixture
def serve(received: Path) -> Iterator[Serve]:
    """Start dcmtk's storescp with options; how to call it, so far without TLS."""
    with ExitStack() as running:
        yield lambda *options: running.enter_context(_storescp(received, options))


@contextmanager
def _storescp(folder: Path, options: tuple[str | Path, ...]) -> Iterator[Peer]:
    port, log = free_port(), folder.parent / "storescp.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [STORESCP, "-v", *options, "-od", folder, str(port)], stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        wait_for(lambda: listens(port) or process.poll() is not None, what="a listening storescp")
        assert process.poll() is None, log.read_text()
        yield Peer("pacs", "PACS", "127.0.0.1", port, timeout=60.0)
    finally:
        process.kill()
        process.wait()


def secured(peer: Peer, authority: Authority, own: Pair | None = None) -> Peer:
    """A peer that is called over TLS, trusted if `authority` vouches for it."""
    identity = Identity(PemFile("tls.certificate", own.certificate), PemFile("tls.key", own.key)) if own else None
    return replace(peer, tls=partial(tls.client, identity, PemFile("tls.ca", authority.pem)))


def with_tls(pair: Pair, *more: str | Path) -> tuple[str | Path, ...]:
    return ("+tls", pair.key, pair.certificate, *more)


def failure(peer: Peer) -> str:
    with pytest.raises(Transient) as failed:
        sender.echo(peer, "CXR_NODE")
    assert failed.value.code in ("TLS_FAILED", "UNREACHABLE")
    return f"{failed.value.code}: {failed.value.message}"


@pytest.mark.parametrize("key", ["ec", "rsa"])
def test_a_film_over_tls_with_certificates_on_both_sides(
    serve: Serve, hospital: Authority, received: Path, tmp_path: Path, key: str
) -> None:
    peer = serve(*with_tls(hospital.issue(f"pacs-{key}", key=key), "+cf", hospital.pem))
    path = films.write(films.chest(1), tmp_path / "film.dcm")
    assert sender.send(secured(peer, hospital, hospital.issue(f"node-{key}", key=key)), "CXR_NODE", path) == 0x0000
    assert len(list(received.iterdir())) == 1


def test_without_a_certificate_of_ours_where_none_is_asked_for(serve: Serve, hospital: Authority, pacs: Pair) -> None:
    sender.echo(secured(serve(*with_tls(pacs, "-ic")), hospital), "CXR_NODE")


def test_a_peer_that_asks_for_a_certificate_and_gets_none(serve: Serve, hospital: Authority, pacs: Pair) -> None:
    said = failure(secured(serve(*with_tls(pacs, "+cf", hospital.pem)), hospital))
    assert said.startswith("TLS_FAILED: no TLS with pacs (PACS at 127.0.0.1:")
    assert "certificate required" in said or "handshake failure" in said


def test_a_peer_of_an_authority_that_we_do_not_know(
    serve: Serve, hospital: Authority, pacs: Pair, tmp_path: Path
) -> None:
    said = failure(secured(serve(*with_tls(pacs, "-ic")), Authority(tmp_path, "elsewhere")))
    assert said.endswith("its certificate is not accepted: unable to get local issuer certificate")


def test_a_peer_that_does_not_know_our_authority(serve: Serve, hospital: Authority, pacs: Pair, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "elsewhere").issue("node")
    said = failure(secured(serve(*with_tls(pacs, "+cf", hospital.pem)), hospital, stranger))
    assert "unknown ca" in said


def test_a_peer_whose_certificate_has_expired(serve: Serve, hospital: Authority) -> None:
    said = failure(secured(serve(*with_tls(hospital.issue("expired", days=-1), "-ic")), hospital))
    assert said.endswith("its certificate is not accepted: certificate has expired")


def test_a_peer_under_another_name(serve: Serve, hospital: Authority) -> None:
    peer = secured(serve(*with_tls(hospital.issue("named", names="DNS:pacs.example.org"), "-ic")), hospital)
    assert "IP address mismatch" in failure(peer)
    sender.echo(replace(peer, tls_name="pacs.example.org"), "CXR_NODE")


def test_a_peer_that_speaks_no_tls(serve: Serve, hospital: Authority) -> None:
    assert failure(secured(serve(), hospital)).endswith("does it speak TLS on this port?")


def test_a_peer_that_speaks_tls_where_we_do_not(serve: Serve, pacs: Pair) -> None:
    assert failure(serve(*with_tls(pacs, "-ic"))).startswith("UNREACHABLE")


def test_a_peer_with_nothing_but_old_cipher_suites(serve: Serve, hospital: Authority) -> None:
    rsa = hospital.issue("old", key="rsa")
    assert failure(secured(serve(*with_tls(rsa, "-ic", "+pa")), hospital)).startswith("TLS_FAILED")


def test_files_that_are_being_renewed_are_tried_again(serve: Serve) -> None:
    def missing() -> None:
        raise ConfigError("tls.ca: /etc/ca.pem: No such file or directory")

    peer = replace(Peer("pacs", "PACS", "127.0.0.1", 1), tls=missing)  # type: ignore[arg-type]
    assert failure(peer) == "TLS_FAILED: tls.ca: /etc/ca.pem: No such file or directory"
