"""Subscribers of a real node that are away, and a node that is killed: every event in order, none lost."""

import threading
import time
from pathlib import Path

import pytest

from cxr_node.domain.workitem import GLOBAL
from tests.films import chest
from tests.node import TIMEOUT, Node, free_port, wait_for
from tests.steps import Watcher, Workstation, performed

pytestmark = pytest.mark.fault

TRANSACTION = "1.2.100.1"
RESTARTED = 4


def table(title: str, port: int) -> dict[str, object]:
    return {"ae_title": title, "host": "127.0.0.1", "port": port}


def test_a_subscriber_that_was_down_hears_of_all_in_order_also_from_a_node_that_was_killed(tmp_path: Path) -> None:
    port, films = free_port(), [chest() for _ in range(3)]
    with Node(tmp_path, subscribers=[table("WATCHER", port)]) as node:
        with Workstation(node.port) as station:
            assert station.subscribe(GLOBAL, "WATCHER") == 0x0000
        node.send(*films[:2])
        node.kill()
        node.start()
        node.send(films[2])
        with Workstation(node.port) as station:
            uid = station.uids(StudyInstanceUID=films[0].StudyInstanceUID)[0]
            assert station.change(uid, "IN PROGRESS", TRANSACTION) == 0x0000
            station.set(uid, performed(TransactionUID=TRANSACTION))
            assert station.change(uid, "COMPLETED", TRANSACTION) == 0x0000
            last = station.uids(StudyInstanceUID=films[2].StudyInstanceUID)[0]
        with Watcher(port=port) as watcher:
            wait_for(lambda: len(watcher.states()) >= 5, what="five state reports")
            time.sleep(2)  # for what might come twice
        assert node.worklist()[0]["study_instance_uid"] != films[0].StudyInstanceUID
    assert watcher.states(uid) == ["SCHEDULED", "IN PROGRESS", "COMPLETED"]
    assert watcher.states(last) == ["SCHEDULED"]
    assert len(watcher.states()) == 5
    assert [kind for _, kind, _ in watcher.heard].count(RESTARTED) == 1


@pytest.mark.parametrize("whole", [False, True], ids=["the process that sends", "the whole node"])
def test_a_report_that_is_on_its_way_when_the_node_is_killed_is_not_lost(tmp_path: Path, whole: bool) -> None:
    """At least once: it comes again, in its place, and what follows follows once."""
    port, film = free_port(), chest()
    arrived, killed = threading.Event(), threading.Event()
    with (
        Watcher(port=port) as watcher,
        Node(tmp_path, subscribers=[table("WATCHER", port)]) as node,
    ):
        with Workstation(node.port) as station:
            assert station.subscribe(GLOBAL, "WATCHER") == 0x0000

        def hold() -> None:
            arrived.set()
            killed.wait(TIMEOUT)

        watcher.taken = hold
        node.send(film)
        assert arrived.wait(TIMEOUT), "no report came"
        node.kill("work")
        if whole:
            node.kill()
        watcher.taken = lambda: None
        killed.set()
        if whole:
            node.start()
        wait_for(lambda: len(watcher.states()) == 2, what="the report again")
        with Workstation(node.port) as station:
            (uid,) = station.uids(StudyInstanceUID=film.StudyInstanceUID)
            assert station.change(uid, "IN PROGRESS", TRANSACTION) == 0x0000
        wait_for(lambda: "IN PROGRESS" in watcher.states(uid), what="what happened after the crash")
        node.wait_idle()
    assert watcher.states(uid) == ["SCHEDULED", "SCHEDULED", "IN PROGRESS"]


def test_two_hundred_subscribers(tmp_path: Path) -> None:
    port = free_port()
    titles = [f"VIEWER{number}" for number in range(200)]
    with (
        Watcher(port=port) as watcher,
        Node(tmp_path, subscribers=[table(title, port) for title in titles]) as node,
    ):
        with Workstation(node.port) as station:
            for title in titles:
                assert station.subscribe(GLOBAL, title) == 0x0000
        node.send(chest())
        wait_for(lambda: len(watcher.states()) >= len(titles), what="a report to each")
        node.wait_idle()
    assert len({uid for uid, _, _ in watcher.heard}) == 1
    assert len(watcher.heard) == len(titles)
