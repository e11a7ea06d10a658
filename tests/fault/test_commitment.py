"""A destination that does not keep what it took, or does not say so: nothing is taken for safe that is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.films import chest
from tests.keeper import PUSH_MODEL, STUDY_ROOT_FIND, Keeper
from tests.node import Node, free_port, wait_for

pytestmark = pytest.mark.fault

PATIENCE = 0.5  # seconds
NOT_THERE = 0x0112


@pytest.fixture(scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Keeper]]:
    port = free_port()
    with Keeper(PUSH_MODEL, STUDY_ROOT_FIND, report_to=(port, "CXR_NODE")) as keeper:
        destination = keeper.destination(commitment_seconds=PATIENCE)
        with Node(tmp_path_factory.mktemp("commitment"), destinations=[destination], receive__port=port) as node:
            yield node, keeper


@pytest.fixture
def pair(_pair: tuple[Node, Keeper]) -> tuple[Node, Keeper]:
    """A node and its destination, which keeps everything and reports at once; a test makes it worse."""
    node, keeper = _pair
    keeper.via, keeper.action = "new", 0x0000
    keeper.store, keeper.fails = lambda _: 0x0000, lambda _: None
    keeper.holds = lambda uid: uid in keeper.stored
    keeper.stored.clear()
    keeper.answers.clear()
    keeper.queries.clear()
    keeper.requests.clear()
    return node, keeper


def states(node: Node, study: str) -> list[str]:
    return [one["state"] for one in node.study(study).get("deliveries", [])]


def committed(node: Node, study: str) -> bool:
    return states(node, study) == ["committed", "committed"]


@pytest.mark.parametrize("via", ["first", "new", "same", "early"])
def test_the_report_may_come_before_the_answer_after_it_or_on_the_same_association(
    pair: tuple[Node, Keeper], via: Any
) -> None:
    node, keeper = pair
    keeper.via, film = via, chest()
    node.send(film)
    wait_for(lambda: committed(node, film.StudyInstanceUID), what="committed documents")
    node.wait_idle()
    wait_for(lambda: set(keeper.answers) == {0x0000}, what="answers to the reports")
    assert sorted(keeper.stored.values()) == [1, 1]


def test_a_report_that_does_not_come_in_time_is_an_alarm_and_counts_when_it_comes(pair: tuple[Node, Keeper]) -> None:
    node, keeper = pair
    keeper.via, film = "never", chest()
    node.send(film)
    wait_for(lambda: len(node.events("commitment.overdue", film.StudyInstanceUID)) >= 2, what="alarms")
    keeper.report_all()
    wait_for(lambda: committed(node, film.StudyInstanceUID), what="committed documents")
    node.wait_idle()


def test_a_document_that_is_reported_as_lost_is_sent_again(pair: tuple[Node, Keeper]) -> None:
    node, keeper = pair
    keeper.fails = lambda uid: NOT_THERE if keeper.stored[uid] < 2 else None
    film = chest()
    node.send(film)
    wait_for(lambda: committed(node, film.StudyInstanceUID), what="committed documents")
    assert sorted(keeper.stored.values()) == [2, 2]
    assert len(node.events("document.not_kept", film.StudyInstanceUID)) == 2


def test_a_document_that_is_never_kept_is_held_for_the_operator(pair: tuple[Node, Keeper]) -> None:
    node, keeper = pair
    keeper.via, keeper.action = "never", 0x0122  # commitment is refused: it is looked for instead, and is not there
    keeper.holds, film = lambda _: False, chest()
    node.send(film)
    wait_for(lambda: states(node, film.StudyInstanceUID) == ["failed", "failed"], what="documents given up")
    assert sorted(keeper.stored.values()) == [4, 4]
    assert {one["code"] for one in node.status()["failed"]} == {"NOT_KEPT"}
    assert len(node.events("peer.queried", film.StudyInstanceUID)) == len(keeper.queries)
    assert node.command("audit", "export", "-").stdout.count('csd-code="110112"') == len(keeper.queries)

    keeper.via, keeper.action = "new", 0x0000
    assert "2 jobs" in node.command("requeue", "--failed").stdout

    wait_for(lambda: committed(node, film.StudyInstanceUID), what="committed documents")
    assert node.status()["dead_letters"] == 0


def test_a_report_on_a_request_that_was_never_made(pair: tuple[Node, Keeper]) -> None:
    node, keeper = pair
    before = len(node.events("commitment.unknown"))
    assert keeper.report("1.2.666", ["1.2.3"], {}) == 0x0115
    assert len(node.events("commitment.unknown")) == before + 1


@pytest.mark.parametrize("status", [0x0111, 0xB000])
def test_what_was_there_already_or_was_changed_is_kept_too(pair: tuple[Node, Keeper], status: int) -> None:
    node, keeper = pair
    keeper.store, film = lambda _: status, chest()
    node.send(film)
    wait_for(lambda: committed(node, film.StudyInstanceUID), what="committed documents")
    assert all(f"0x{status:04X}" in one["warning"] for one in node.study(film.StudyInstanceUID)["deliveries"])


@pytest.mark.parametrize("role", ["work", "serve"])
def test_killed_between_request_and_report(tmp_path: Path, role: str) -> None:
    port, film = free_port(), chest()
    with Keeper(PUSH_MODEL, report_to=(port, "CXR_NODE")) as keeper:
        destination = keeper.destination(storage_commitment="on")
        with Node(tmp_path, destinations=[destination], receive__port=port) as node:
            node.send(film)
            wait_for(lambda: keeper.requests, what="a request")
            node.kill(role)
            if role == "serve":
                node.start()
            wait_for(lambda: len(node.logged("work.ready")) == 2, what="a worker")
            keeper.via = "new"
            keeper.report_all()
            wait_for(lambda: committed(node, film.StudyInstanceUID), what="committed documents")
