"""Delivery: the bytes of the outbox to one destination, on record when they are there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from cxr_node.dimse.sender import Peer
from cxr_node.domain.commitment import Reference, Terms
from cxr_node.domain.job import NewJob
from cxr_node.errors import Permanent, Transient
from cxr_node.pipeline import PIPELINE
from cxr_node.store import jobs, results
from cxr_node.store.results import Written
from cxr_node.worker import Lane, Worker
from tests.bench import NOON, Bench, deliver, study_uid

Wanted = Literal["auto", "on", "off"]
STEPS = {step.kind: step for step in PIPELINE}
PACS = Peer("pacs", "PACS", "127.0.0.1", 104)
LANE = Lane("deliver pacs", ("deliver",))


class Node(Bench):
    """A bench with one document in the outbox, to be delivered; `sent` is what left."""

    def begin(
        self,
        send: Callable[[], int] = lambda: 0x0000,
        peers: tuple[Peer, ...] = (PACS,),
        wanted: Wanted = "off",
        has: Callable[[Peer, Reference], bool] | None = None,
    ) -> "Node":
        self.sent: list[tuple[str, bytes]] = []

        def sending(peer: Peer, path: Path) -> int:
            self.sent.append((peer.name, path.read_bytes()))
            return send()

        terms = {"pacs": Terms(wanted, 600.0)}
        stage = deliver(self, {peer.name: peer for peer in peers}, terms, sending, has=has)
        table = {"deliver": (STEPS["deliver"], stage)}
        self.worker = Worker(self.store, table, "me", lambda: None, self.clock, random=lambda: 0.0, pseudonym=str)
        path = self.spool.write(self.spool.outbox / "1.2.9.dcm", b"document")
        with self.store.transaction() as tx:
            document = Written("1.2.9", study_uid(1), 1, "full", "sr", "1.2", "1.2.8", path)
            results.add_document(tx, document, NOON)
            results.add_delivery(tx, "1.2.9", "pacs")
            jobs.enqueue(tx, [NewJob("deliver", "1.2.9", "pacs")], NOON)
        return self

    def delivery(self) -> tuple[str, int, str | None]:
        with self.store.reading() as tx:
            (found,) = results.deliveries(tx, study_uid(1))
        return found["state"], found["attempts"], found["error"]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize("status", [0x0000, 0xB000])
def test_a_document_that_the_peer_has_is_on_record_with_its_status(node: Node, status: int) -> None:
    node.begin(lambda: status).worker.run_once(LANE)
    assert node.sent == [("pacs", b"document")]
    assert node.delivery() == ("sent", 1, None)
    (row,) = node.rows("SELECT * FROM delivery")
    assert (row["status"], row["sent_at"]) == (status, NOON)
    assert node.events() == ["document.sent"]


@pytest.mark.parametrize(
    ("wanted", "status", "asked"),
    [("auto", 0x0000, True), ("on", 0xB000, True), ("off", 0x0000, False), ("off", 0x0111, True)],
)
def test_whether_the_peer_keeps_it_is_asked_soon_where_that_is_wanted_or_in_doubt(
    node: Node, wanted: Wanted, status: int, asked: bool
) -> None:
    node.begin(lambda: status, wanted=wanted).worker.run_once(LANE)
    rows = node.rows("SELECT subject, target, not_before FROM job WHERE kind = 'commit'")
    assert rows == ([{"subject": "1.2.9", "target": "pacs", "not_before": NOON + 1}] if asked else [])


@pytest.mark.parametrize(
    ("status", "warning"),
    [
        (0x0000, None),
        (0x0111, "the peer had it already (0x0111)"),
        (0xB000, "stored with coercion of data elements (0xB000)"),
        (0xB006, "stored with elements discarded (0xB006)"),
        (0xB007, "stored, although the data set does not match its SOP class (0xB007)"),
        (0xB123, "stored with a warning (0xB123)"),
    ],
)
def test_a_warning_of_the_peer_is_shown(node: Node, status: int, warning: str | None) -> None:
    node.begin(lambda: status).worker.run_once(LANE)
    with node.store.reading() as tx:
        (found,) = results.deliveries(tx, study_uid(1))
    assert (found["state"], found["warning"]) == ("sent", warning)


def test_a_peer_that_is_away_is_called_again_with_the_same_bytes(node: Node) -> None:
    answers = iter([Transient("UNREACHABLE", "pacs is away"), Transient("UNREACHABLE", "pacs is away"), 0x0000])

    def send() -> int:
        answer = next(answers)
        if isinstance(answer, Transient):
            raise answer
        return answer

    node.begin(send)
    node.worker.run_once(LANE)
    assert node.delivery() == ("pending", 1, "pacs is away")
    for _ in range(2):
        assert not node.worker.run_once(LANE)
        node.clock.turn(60)
        assert node.worker.run_once(LANE)
    assert node.delivery() == ("sent", 3, None)
    assert node.sent == [("pacs", b"document")] * 3


def test_a_peer_that_refuses_is_held_for_the_operator(node: Node) -> None:
    def send() -> int:
        raise Permanent("PEER_REFUSED", "pacs answered 0xA900")

    node.begin(send).worker.run_once(LANE)
    assert node.delivery() == ("failed", 1, "pacs answered 0xA900")
    (event,) = node.rows("SELECT * FROM event")
    assert (event["event"], event["study_instance_uid"]) == ("job.failed", study_uid(1))
    node.clock.turn(86400)
    assert not node.worker.run_once(LANE)


def test_a_destination_that_is_configured_no_more_is_said(node: Node) -> None:
    node.begin(peers=()).worker.run_once(LANE)
    assert node.sent == []
    assert "no [[destination]] is named 'pacs' any more" in str(node.delivery()[2])


def test_a_document_whose_file_is_gone_is_said(node: Node) -> None:
    node.begin()
    (node.spool.outbox / "1.2.9.dcm").unlink()
    node.worker.run_once(LANE)
    assert node.delivery()[0] == "failed"
    assert "1.2.9.dcm is not in the outbox any more" in str(node.delivery()[2])


def test_what_is_pending_is_counted_by_destination(node: Node) -> None:
    node.begin()
    with node.store.reading() as tx:
        assert results.pending_by_destination(tx) == {"pacs": 1}
    node.worker.run_once(LANE)
    with node.store.reading() as tx:
        assert results.pending_by_destination(tx) == {}


class Archive:
    """What a peer says that it has; `asked` is what it was asked for."""

    def __init__(self, *has: str) -> None:
        self.has, self.asked = has, list[Reference]()

    def __call__(self, _: Peer, reference: Reference) -> bool:
        self.asked.append(reference)
        return reference.sop_instance_uid in self.has


def died_while_sending(node: Node, archive: Archive) -> None:
    """The node that took the document up is gone, and nobody knows what became of it."""

    def send() -> int:
        with node.store.transaction() as tx:
            jobs.release_all(tx, NOON)  # what its successor does first
        return 0x0000

    node.begin(send, has=archive).worker.run_once(LANE)
    assert node.delivery()[0] == "pending"


def test_of_a_pair_nobody_is_asked_for_what_nobody_has_begun_to_send(node: Node) -> None:
    archive = Archive("1.2.9")
    node.begin(has=archive).worker.run_once(LANE)
    assert (archive.asked, node.sent) == ([], [("pacs", b"document")])


def test_of_a_pair_what_the_peer_has_got_from_the_other_is_not_sent_again(node: Node) -> None:
    archive = Archive("1.2.9")
    died_while_sending(node, archive)
    assert node.worker.run_once(LANE)
    assert archive.asked == [Reference("1.2", "1.2.9", study_uid(1), "1.2.8")]
    assert len(node.sent) == 1
    assert node.delivery() == ("sent", 1, None)
    (row,) = node.rows("SELECT status FROM delivery")
    assert row["status"] == 0x0111
    assert node.rows("SELECT subject FROM job WHERE kind = 'commit'") == [{"subject": "1.2.9"}], "and it is to keep it"


def test_of_a_pair_what_the_peer_has_not_got_is_sent_as_it_was(node: Node) -> None:
    died_while_sending(node, Archive())
    assert node.worker.run_once(LANE)
    assert node.sent == [("pacs", b"document")] * 2


def test_of_a_pair_a_peer_that_was_away_is_not_asked(node: Node) -> None:
    """It cannot have the document."""
    archive, answers = Archive(), iter([Transient("UNREACHABLE", "pacs is away"), 0x0000])

    def send() -> int:
        if isinstance(answer := next(answers), Transient):
            raise answer
        return answer

    node.begin(send, has=archive).worker.run_once(LANE)
    node.clock.turn(60)
    assert node.worker.run_once(LANE)
    assert (archive.asked, node.delivery()) == ([], ("sent", 2, None))


def test_of_a_pair_a_peer_that_does_not_answer_the_question_is_sent_nothing(node: Node) -> None:
    def away(*_: object) -> bool:
        raise Transient("UNREACHABLE", "pacs is away")

    died_while_sending(node, Archive())
    node.worker.stages["deliver"] = (STEPS["deliver"], replace(node.worker.stages["deliver"][1], has=away))
    assert node.worker.run_once(LANE)
    assert (len(node.sent), node.delivery()[2]) == (1, "pacs is away")
