"""More than the node can take at once: everyone is served in the end, readers first, and memory stays bounded."""

import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import FileDataset

from cxr_node.plan import database_of
from tests.fault.peer import Destination
from tests.films import chest
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault

MACHINES, PLACES = 100, 64
LONGER_THAN_BUSY = 17.0  # seconds; a transaction waits 15 for the file
VERIFICATION = ("1.2.840.10008.1.1", "1.2.840.10008.1.2")
REJECTED_FOR_THE_MOMENT = (2, 3, 2)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with fewer places than there are machines, which analyses nothing that is sent here."""
    folder = tmp_path_factory.mktemp("crowded")
    settings: dict[str, Any] = {"eligibility__views": ["NONE"], "eligibility__accept_unknown_view": False}
    with Node(folder, receive__max_associations=PLACES, **settings) as node:
        yield node


def keep_sending(node: Node, path: Path) -> int:
    """One machine: it sends its film until that is taken; how often it had to."""
    command = ["/usr/bin/storescu", "-xe", "-aec", "CXR_NODE", "127.0.0.1", str(node.port), path]
    for attempt in range(1, 1000):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return attempt
        time.sleep(1)
    raise AssertionError("never taken")


@pytest.mark.peers
def test_a_hundred_machines_at_once_are_all_served_in_the_end(crowded: Node) -> None:
    films = [chest() for _ in range(MACHINES)]
    paths = [crowded.written(film) for film in films]
    attempts: list[int] = []
    machines = [
        threading.Thread(target=lambda path=path: attempts.append(keep_sending(crowded, path)))  # type: ignore[misc]
        for path in paths
    ]
    for machine in machines:
        machine.start()
    for machine in machines:
        machine.join()

    assert len(attempts) == MACHINES
    stored = {row["sop_instance_uid"] for row in crowded.rows("SELECT sop_instance_uid FROM instance")}
    assert {str(film.SOPInstanceUID) for film in films} <= stored
    assert not crowded.logged("instance.fault")
    assert not crowded.files("incoming")


def test_callers_that_send_no_objects_find_a_place_when_senders_find_none(crowded: Node) -> None:
    film = chest()
    sends = (str(film.SOPClassUID), str(film.file_meta.TransferSyntaxUID))
    kept = PLACES // 8
    held = [crowded.association(sends) for _ in range(PLACES - kept)]
    associations = [one.__enter__() for one in held]
    try:
        assert all(association.is_established for association in associations)
        with crowded.association(sends) as late:
            answer: Any = late.acceptor.primitive
            assert (answer.result, answer.result_source, answer.diagnostic) == REJECTED_FOR_THE_MOMENT
        assert crowded.echoes()
        wait_for(lambda: crowded.events("association.rejected"), what="an event")
    finally:
        for one in held:
            one.__exit__(None, None, None)
    wait_for(lambda: taken(crowded, film), what="a place for the sender")


def test_a_refusal_is_in_the_trail_however_busy_the_database_was(tmp_path: Path) -> None:
    """Another process holds the database for longer than the node waits for it."""
    with Node(tmp_path, receive__allowed_ae_titles=["CT1"]) as node:
        with closing(sqlite3.connect(database_of(node.config), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with node.association(calling="STRANGER") as association:
                assert association.is_rejected
            wait_for(lambda: node.logged("association.rejected"), what="a line in the log")
            time.sleep(LONGER_THAN_BUSY)
            other.execute("ROLLBACK")
        wait_for(lambda: node.events("association.rejected"), what="an event")
        assert [event["calling"] for event in node.events("association.rejected")] == ["STRANGER"]


def taken(node: Node, film: FileDataset) -> bool:
    with node.association((str(film.SOPClassUID), str(film.file_meta.TransferSyntaxUID))) as association:
        return association.is_established and association.send_c_store(film).Status == 0x0000


def test_a_slow_destination_does_not_slow_another(tmp_path: Path) -> None:
    """One holds each document until it is let go; the other has them all meanwhile."""
    let_go = threading.Event()

    def slowly(_: str) -> int:
        let_go.wait(100)
        return 0x0000

    slow, fast = Destination(slowly), Destination()
    films = [chest() for _ in range(3)]
    tables = [slow.table | {"name": "slow"}, fast.table | {"name": "fast"}]
    with slow, fast, Node(tmp_path, destinations=tables) as node:
        node.send(*films)
        wait_for(lambda: len(fast.taken) == 6, what="six documents at the fast one")
        assert len(slow.asked) == 1, "and the slow one still has the first in hand"
        status = node.status()
        assert status["queues"]["deliver"] == {"ready": 5, "running": 1, "failed": 0}
        assert [(one["name"], one["pending"]) for one in status["destinations"]] == [("slow", 6), ("fast", 0)]
        let_go.set()
        node.wait_idle()
        assert len(slow.taken) == 6
