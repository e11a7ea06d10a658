"""Subscribers and the RIS's Modality Worklist over TLS: called as the configuration says, or it is said why not."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cxr_node import tls
from cxr_node.config import Config
from cxr_node.dimse import orders
from cxr_node.dimse import workitems as wire
from cxr_node.dimse.sender import Peer
from cxr_node.domain.workitem import Event
from cxr_node.errors import Transient
from cxr_node.tls import Identity, PemFile
from cxr_node.workstations import ris_of, subscribers_of
from tests.certificates import Authority, Pair
from tests.orders import Ris
from tests.steps import Watcher

KINDS = ["subscriber", "RIS"]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("hospital"), "hospital")


@pytest.fixture(scope="module")
def node(hospital: Authority) -> Pair:
    return hospital.issue("node")


def showing(pair: Pair, clients: Authority | None = None) -> ssl.SSLContext:
    """What a peer takes TLS with that shows this certificate; with `clients` it asks for one of theirs."""
    own = Identity(PemFile("certificate", pair.certificate), PemFile("key", pair.key))
    return tls.server(own, PemFile("ca", clients.pem) if clients else None)


@contextmanager
def peer(kind: str, context: ssl.SSLContext | None) -> Iterator[int]:
    """A subscriber or a RIS that listens; its port. It must have been reached where nothing is raised."""
    if kind == "subscriber":
        with Watcher(tls=context) as watcher:
            yield watcher.port
    else:
        with Ris(("A1", "P1", "STAT"), tls=context) as ris:
            yield ris.port


def call(kind: str, port: int, ca: Path | None, own: Pair | None = None, **keys: Any) -> object:
    """Call it as a node of this configuration does; what it answered."""
    table: dict[str, Any] = {"ae_title": "PEER", "host": "127.0.0.1", "port": port, **keys}
    if ca:
        table["tls_ca"] = str(ca)
    tables: dict[str, Any] = {}
    if own:
        tables["tls"] = {"certificate": str(own.certificate), "key": str(own.key), "listener": False}
    tables |= {"subscriber": [table]} if kind == "subscriber" else {"worklist": {"ris": table}}
    config = Config.model_validate(tables)
    called: Peer | None = subscribers_of(config)["PEER"] if kind == "subscriber" else ris_of(config)
    assert called
    if kind == "subscriber":
        state = {"00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}
        return list(wire.tell(called, "CXR_NODE", [(1, "1.2.3", Event.STATE, state)]))
    return [one.priority for one in orders.look_up(called, "CXR_NODE", "A1", lambda *_: None)]


ANSWERED: dict[str, object] = {"subscriber": [(1, 0x0000)], "RIS": ["STAT"]}


def failure(kind: str, port: int, ca: Path | None, **keys: Any) -> str:
    with pytest.raises(Transient) as failed:
        call(kind, port, ca, **keys)
    return f"{failed.value.code}: {failed.value.message}"


@pytest.mark.parametrize("kind", KINDS)
def test_with_certificates_on_both_sides(kind: str, hospital: Authority, node: Pair) -> None:
    with peer(kind, showing(hospital.issue("peer"), hospital)) as port:
        assert call(kind, port, hospital.pem, node, tls=True) == ANSWERED[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_asks_for_a_certificate_and_gets_none(kind: str, hospital: Authority) -> None:
    with peer(kind, showing(hospital.issue("strict"), hospital)) as port:
        assert failure(kind, port, hospital.pem, tls=True).startswith("TLS_FAILED: no TLS with")


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_an_authority_that_we_do_not_know(kind: str, hospital: Authority, tmp_path: Path) -> None:
    with peer(kind, showing(hospital.issue("known"))) as port:
        said = failure(kind, port, Authority(tmp_path, "elsewhere").pem, tls=True)
    assert said.endswith("its certificate is not accepted: unable to get local issuer certificate")


@pytest.mark.parametrize("kind", KINDS)
def test_one_whose_certificate_has_expired(kind: str, hospital: Authority) -> None:
    with peer(kind, showing(hospital.issue("expired", days=-1))) as port:
        said = failure(kind, port, hospital.pem, tls=True)
    assert said.endswith("its certificate is not accepted: certificate has expired")


@pytest.mark.parametrize("kind", KINDS)
def test_one_under_another_name(kind: str, hospital: Authority) -> None:
    with peer(kind, showing(hospital.issue("named", names="DNS:peer.example.org"))) as port:
        assert "IP address mismatch" in failure(kind, port, hospital.pem, tls=True)
        assert call(kind, port, hospital.pem, tls=True, tls_name="peer.example.org") == ANSWERED[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_speaks_no_tls(kind: str, hospital: Authority) -> None:
    with peer(kind, None) as port:
        assert failure(kind, port, hospital.pem, tls=True).endswith("wrong version number")


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_speaks_tls_where_we_do_not(kind: str, hospital: Authority) -> None:
    with peer(kind, showing(hospital.issue("plain"))) as port:
        assert failure(kind, port, None).startswith("UNREACHABLE")
