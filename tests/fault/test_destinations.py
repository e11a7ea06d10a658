"""Destinations that are away, full, or refuse: what is written reaches them once, or is held for the operator."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault.peer import Destination
from tests.films import chest
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault

OUT_OF_RESOURCES, REFUSED, COERCED = 0xA700, 0xC000, 0xB000


@pytest.fixture(scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Destination]]:
    peer = Destination()
    with Node(tmp_path_factory.mktemp("sender"), destinations=[peer.table]) as node:
        yield node, peer
        peer.stop()


@pytest.fixture
def pair(_pair: tuple[Node, Destination]) -> Iterator[tuple[Node, Destination]]:
    """A node and its only destination, which is not there yet and has been asked for nothing."""
    node, peer = _pair
    peer.answer = lambda _: 0x0000
    peer.asked.clear()
    peer.taken.clear()
    yield node, peer
    peer.stop()


def deliveries(node: Node, study: str) -> list[dict[str, Any]]:
    return list(node.study(study).get("deliveries", []))


def states(node: Node, study: str) -> list[str]:
    return [delivery["state"] for delivery in deliveries(node, study)]


def reasons(node: Node, study: str) -> list[str]:
    """The codes of what kept documents from being delivered."""
    told = "SELECT error_code FROM job, document ON subject = sop_instance_uid WHERE study_instance_uid = ?"
    return [row["error_code"] for row in node.rows(told, study)]


def test_a_destination_that_is_away_and_comes_back(pair: tuple[Node, Destination]) -> None:
    node, peer = pair
    film = chest()
    node.send(film)
    wait_for(lambda: reasons(node, film.StudyInstanceUID).count("UNREACHABLE") == 2, what="two attempts")
    assert states(node, film.StudyInstanceUID) == ["pending", "pending"]
    (status,) = node.status()["destinations"]
    assert (status["name"], status["reachable"], status["pending"]) == ("peer", False, 2)

    peer.start()

    node.wait_idle()
    assert states(node, film.StudyInstanceUID) == ["sent", "sent"]
    assert sorted(peer.taken.values()) == [1, 1]
    (status,) = node.status()["destinations"]
    assert (status["reachable"], status["pending"], status["uncommitted"], status["overdue"]) == (True, 0, 0, 0)


def test_a_destination_that_is_full_for_a_while(pair: tuple[Node, Destination]) -> None:
    node, peer = pair
    peer.answer = lambda _: OUT_OF_RESOURCES if sum(peer.asked.values()) <= 3 else 0x0000
    peer.start()
    film = chest()

    node.send(film)

    node.wait_idle()
    assert states(node, film.StudyInstanceUID) == ["sent", "sent"]
    assert sorted(peer.taken.values()) == [1, 1]
    assert sum(peer.asked.values()) == 5
    assert {line["code"] for line in node.logged("job.retry")} >= {"PEER_OUT_OF_RESOURCES"}


def test_a_destination_that_refuses(pair: tuple[Node, Destination]) -> None:
    node, peer = pair
    peer.answer = lambda _: REFUSED
    peer.start()
    film = chest()

    node.send(film)

    node.wait_idle()
    assert states(node, film.StudyInstanceUID) == ["failed", "failed"]
    assert sorted(peer.asked.values()) == [1, 1]
    assert all("0xC000" in delivery["error"] for delivery in deliveries(node, film.StudyInstanceUID))
    assert node.status()["dead_letters"] == 2

    peer.answer = lambda _: 0x0000
    assert "2 jobs" in node.command("requeue", "--failed").stdout

    node.wait_idle()
    assert states(node, film.StudyInstanceUID) == ["sent", "sent"]
    assert node.status()["dead_letters"] == 0


def test_a_destination_that_takes_with_a_warning(pair: tuple[Node, Destination]) -> None:
    node, peer = pair
    peer.answer = lambda _: COERCED
    peer.start()
    film = chest()

    node.send(film)

    node.wait_idle()
    assert [(d["state"], d["status"]) for d in deliveries(node, film.StudyInstanceUID)] == [("sent", COERCED)] * 2
    assert sorted(peer.asked.values()) == [1, 1]


def test_a_destination_that_is_away_does_not_hold_up_another(tmp_path: Path) -> None:
    away, here = Destination(), Destination()
    film = chest()
    with here, Node(tmp_path, destinations=[away.table | {"name": "away"}, here.table]) as node:
        node.send(film)

        wait_for(lambda: sorted(here.taken.values()) == [1, 1], what="two documents")
        by_name = {(d["destination"], d["state"]) for d in wait_for(lambda: deliveries(node, film.StudyInstanceUID))}
        assert by_name >= {("away", "pending")}


def test_the_same_bytes_each_time(pair: tuple[Node, Destination]) -> None:
    node, peer = pair
    film = chest()
    node.send(film)
    wait_for(lambda: len(states(node, film.StudyInstanceUID)) == 2, what="two deliveries")
    paths = [node.data / output["path"] for output in node.study(film.StudyInstanceUID)["outputs"]]
    before = [path.read_bytes() for path in paths]

    node.terminate()
    node.start()
    peer.start()

    node.wait_idle()
    assert [path.read_bytes() for path in paths] == before
    assert sorted(peer.taken) == sorted(path.stem for path in paths)
