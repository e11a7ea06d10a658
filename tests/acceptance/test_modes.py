"""What leaves a whole node: nothing in shadow, no localisation in triage, everything that is wanted in full."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt

from cxr_node.dimse.contexts import ALONG_THE_WAY, FILMS, UNCOMPRESSED
from cxr_node.domain.report_class import REPORT_CLASSES
from tests.documents import items
from tests.films import chest
from tests.node import Node, free_port

REGION, GROUP, FINDING = "111030", "125007", "121071"
ENHANCED = REPORT_CLASSES["enhanced"]
TAKEN = {*FILMS, *ALONG_THE_WAY}
EVERYTHING = {"report__pdf": True, "report__presentation_state": True, "report__segmentation": True}


class Shelf:
    """A storage SCP that keeps what it gets, in order; it takes no SOP class of `without`."""

    def __init__(self, name: str, without: Sequence[str] = ()) -> None:
        self.name, self.port, self.got = name, free_port(), list[Dataset]()
        self._ae = AE(ae_title=name.upper())
        for sop_class in sorted(TAKEN - {*without}):
            self._ae.add_supported_context(sop_class, UNCOMPRESSED[0])

    def __enter__(self) -> Self:
        handlers: list[Any] = [(evt.EVT_C_STORE, self._keep)]
        self._server = self._ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_: object) -> None:
        self._ae.shutdown()

    def destination(self, **more: Any) -> dict[str, Any]:
        known = {"name": self.name, "ae_title": self.name.upper(), "host": "127.0.0.1", "port": self.port}
        return known | {"storage_commitment": "off"} | more

    def _keep(self, event: evt.Event) -> int:
        self.got.append(event.dataset)
        return 0x0000

    @property
    def modalities(self) -> list[str]:
        return [str(one.Modality) for one in self.got]


@dataclass(frozen=True)
class Played:
    """A node that was sent one film, with what it finds in it; its destinations by name."""

    node: Node
    shelves: dict[str, Shelf]
    film: Dataset


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    old = [uid for name, uid in REPORT_CLASSES.items() if name not in ("enhanced", "basic_text")]
    with ExitStack() as stack:
        shelves = {name: stack.enter_context(Shelf(name)) for name in ("hidden", "sorting", "whole")}
        shelves["old"] = stack.enter_context(Shelf("old", without=old))
        destinations = [
            shelves["hidden"].destination(mode="shadow"),
            shelves["sorting"].destination(mode="triage"),
            shelves["whole"].destination(),
            shelves["old"].destination(pdf=False),
        ]
        settings = EVERYTHING | {"report__key_objects": True, "model__thresholds": {"pneumonia": 0.001}}
        node = Node(tmp_path_factory.mktemp("modes"), destinations=destinations, **settings)
        stack.enter_context(node)
        film = chest()
        node.send(film)
        node.wait_final(film.StudyInstanceUID)
        node.wait_idle()
        yield Played(node, shelves, film)


def test_nothing_leaves_for_a_destination_in_shadow(played: Played) -> None:
    assert played.shelves["hidden"].got == []
    study = played.node.study(played.film.StudyInstanceUID)
    assert "hidden" not in {one["destination"] for one in study["deliveries"]}


def test_triage_has_no_heat_map_and_no_localisation(played: Played) -> None:
    shelf = played.shelves["sorting"]
    assert sorted(shelf.modalities) == ["DOC", "KO", "SR"]
    (report,) = (one for one in shelf.got if one.Modality == "SR")
    assert items(report, FINDING)
    assert items(report, REGION) == []


def test_full_has_all_that_is_wanted_and_key_objects_last(played: Played) -> None:
    shelf = played.shelves["whole"]
    assert sorted(shelf.modalities) == ["DOC", "KO", "OT", "PR", "SEG", "SR"]
    assert shelf.modalities[-1] == "KO"
    (report,) = (one for one in shelf.got if one.Modality == "SR")
    assert report.SOPClassUID == REPORT_CLASSES["comprehensive_3d"]
    assert len(items(report, REGION)) == len(items(report, GROUP)) == 1


def test_an_archive_that_takes_older_classes_alone_gets_the_best_of_them(played: Played) -> None:
    shelf = played.shelves["old"]
    assert sorted(shelf.modalities) == ["KO", "OT", "PR", "SEG", "SR"]
    (report,) = (one for one in shelf.got if one.Modality == "SR")
    assert report.SOPClassUID == ENHANCED
    refused = played.node.events("report.class_refused")
    assert [one["destination"] for one in refused] == ["old"]
    assert played.node.status()["dead_letters"] == 0
