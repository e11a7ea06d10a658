"""Whether a destination has a document, by whichever way it is reached; one that cannot say does not say so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from cxr_node import reaching
from cxr_node.dimse.inquiry import STUDY_ROOT_FIND
from cxr_node.dimse.sender import Peer
from cxr_node.domain.commitment import Query, Reference
from cxr_node.errors import Transient
from tests.node import free_port
from tests.unit.test_dicomweb_client import Web, web

__all__ = ["web"]

REPORT = Reference("1.2.840.10008.5.1.4.1.1.88.34", "1.2.9", "1.2.3", "1.2.8")


@contextmanager
def archive(*found: Dataset, model: str = STUDY_ROOT_FIND, status: int = 0x0000) -> Iterator[Peer]:
    """A PACS that answers each C-FIND with these matches, and then with a status."""

    def answer(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        yield from ((0xFF00, one) for one in found)
        if status:
            yield status, None

    ae = AE(ae_title="PACS")
    ae.add_supported_context(model)
    server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    yield Peer("pacs", "PACS", "127.0.0.1", server.server_address[1], timeout=10)
    server.shutdown()


def match(instance: str, sop_class: str = "") -> Dataset:
    found = Dataset()
    found.QueryRetrieveLevel, found.SOPInstanceUID, found.SOPClassUID = "IMAGE", instance, sop_class
    return found


def asked(peer: Peer) -> tuple[bool, int]:
    """Whether it has the report, and how many queries were put on record."""
    told: list[Query] = []
    return reaching.has(peer, "CXR_NODE", REPORT, lambda _, query: told.append(query)), len(told)


@pytest.mark.parametrize(
    ("opened", "has"),
    [
        (lambda: archive(match("1.2.9", REPORT.sop_class_uid)), True),
        (lambda: archive(match("1.2.9")), True),
        (lambda: archive(match("1.2.9", "1.2.840.10008.5.1.4.1.1.7")), False),
        (lambda: archive(match("1.2.10")), False),
        (archive, False),
        (lambda: archive(status=0xC000), False),
    ],
    ids=["it has", "it does not say of which class", "of another class", "another", "nothing", "it refuses to look"],
)
def test_what_an_archive_says_that_it_has(opened: Callable[[], Any], has: bool) -> None:
    with opened() as peer:
        assert asked(peer) == (has, 1)


def test_one_that_is_searched_by_nobody_has_not_said_so() -> None:
    with archive(model="1.2.840.10008.1.1") as peer:
        assert asked(peer) == (False, 0)


def test_one_that_is_away_is_asked_later() -> None:
    with pytest.raises(Transient):
        asked(Peer("pacs", "PACS", "127.0.0.1", free_port()))


def test_a_web_server_is_searched_by_qido(web: Web) -> None:
    peer = Peer("web", "", "127.0.0.1", 0, url=web.url)
    web.answer(200, [{"00080018": {"vr": "UI", "Value": ["1.2.9"]}}])
    assert asked(peer) == (True, 1)
    web.answer(200, [])
    assert asked(peer) == (False, 1)
    web.answer(404)
    assert asked(peer) == (False, 1), "it takes documents, and is not searched"
    web.answer(503)
    with pytest.raises(Transient):
        asked(peer)
