"""tell: subscribers hear of everything in order and of nothing twice, whatever happens to them in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cxr_node.dimse import workitems as wire
from cxr_node.dimse.sender import Peer
from cxr_node.domain.job import Job
from cxr_node.domain.reading import Actor
from cxr_node.domain.workitem import GLOBAL
from cxr_node.errors import Permanent, Transient
from cxr_node.stages.tell import Tell
from cxr_node.store import reading, subscriptions
from cxr_node.store.subscriptions import Report, Wish
from tests import films
from tests.bench import Bench
from tests.steps import Watcher

PEER = Peer("WATCHER", "WATCHER", "127.0.0.1", 1)


@dataclass
class Line:
    """A way to a subscriber that breaks before report number `breaks` (from 1)."""

    breaks: int = 10**9
    status: int = 0x0000
    heard: list[Report] = field(default_factory=list)

    def tell(self, _: Peer, reports: Sequence[Report]) -> Iterator[tuple[int, int]]:
        for number, report in enumerate(reports, start=1):
            if number >= self.breaks:
                raise Transient("ASSOCIATION_LOST", "the association with WATCHER was lost while reporting")
            self.heard.append(report)
            yield report.sequence, self.status


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A node whose workitems WATCHER wants to hear of."""
    bench = Bench(tmp_path)
    with bench.store.transaction() as tx:
        subscriptions.subscribe(tx, Wish("WATCHER", GLOBAL, locked=False, called=True))
    return bench


def job(bench: Bench, receiver: str = "WATCHER") -> Job:
    (row,) = bench.rows("SELECT * FROM job WHERE kind = 'tell' AND subject = ?", receiver)
    return Job(row["id"], "tell", receiver, "", 1, "token")


def stage(bench: Bench, line: Line, peers: dict[str, Peer] | None = None) -> Tell:
    return Tell(bench.store, {"WATCHER": PEER} if peers is None else peers, line.tell, bench.clock)


def run(bench: Bench, line: Line) -> list[str]:
    """Run the job; the kinds of jobs that follow."""
    commit = stage(bench, line).run(job(bench))
    with bench.store.transaction() as tx:
        return [one.kind for one in commit(tx)]


def happen(bench: Bench, studies: int) -> None:
    for _ in range(studies):
        bench.send(films.chest())


def test_what_was_told_is_not_told_again_when_the_line_breaks(bench: Bench) -> None:
    happen(bench, 5)
    broken, whole = Line(breaks=3), Line()
    with pytest.raises(Transient):
        stage(bench, broken).run(job(bench))
    assert run(bench, whole) == []
    sequences = [one.sequence for one in [*broken.heard, *whole.heard]]
    assert sequences == sorted(set(sequences))
    assert len(sequences) == 5


def test_more_than_one_association_takes_follows_in_the_next(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120) "
            "INSERT INTO workitem_report (receiver, workitem, event, information, made_at) "
            "SELECT 'WATCHER', '1.2', 1, '{}', 0 FROM n"
        )
    happen(bench, 1)
    line = Line()
    assert [run(bench, line) for _ in range(3)] == [["tell"], ["tell"], []]
    assert len(line.heard) == 121


def test_what_a_subscriber_refuses_is_said_and_not_told_again(bench: Bench) -> None:
    happen(bench, 2)
    assert run(bench, Line(status=0x0110)) == []
    assert bench.rows("SELECT 1 FROM workitem_report") == []
    (row,) = bench.rows("SELECT detail FROM event WHERE event = 'subscriber.refused'")
    assert '"0x0110": 2' in row["detail"]


def test_a_subscriber_that_is_no_longer_configured(bench: Bench) -> None:
    happen(bench, 1)
    with pytest.raises(Permanent, match="WATCHER") as failed:
        stage(bench, Line(), peers={}).run(job(bench))
    assert failed.value.code == "SUBSCRIBER_UNKNOWN"


def test_a_job_that_runs_is_not_taken_from_who_runs_it(bench: Bench) -> None:
    happen(bench, 1)
    with bench.store.transaction() as tx:
        tx.execute("UPDATE job SET state = 'running', lease_token = 'mine' WHERE kind = 'tell'")
    happen(bench, 1)
    (row,) = bench.rows("SELECT state, lease_token FROM job WHERE kind = 'tell'")
    assert (row["state"], row["lease_token"]) == ("running", "mine")


def test_two_hundred_subscribers_each_hear_of_each_event(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        for number in range(199):
            subscriptions.subscribe(tx, Wish(f"VIEWER{number}", GLOBAL, locked=False, called=True))
    happen(bench, 1)
    (study,) = [row["study_instance_uid"] for row in bench.rows("SELECT study_instance_uid FROM worklist_entry")]
    with bench.store.transaction() as tx:
        reading.mark_read(tx, study, Actor("dr.adams"), bench.clock())
    counts = bench.rows("SELECT receiver, count(*) AS n FROM workitem_report GROUP BY receiver")
    assert {row["n"] for row in counts} == {3}  # scheduled, in progress, completed
    assert len(counts) == len(bench.rows("SELECT 1 FROM job WHERE kind = 'tell'")) == 200


def test_over_a_real_association(bench: Bench) -> None:
    happen(bench, 3)
    with Watcher() as watcher, bench.store.reading() as tx:
        reports = [
            (one.sequence, one.workitem, one.event, one.information) for one in subscriptions.waiting(tx, "WATCHER", 10)
        ]
        peer = Peer("WATCHER", "WATCHER", "127.0.0.1", watcher.port, timeout=60.0)
        told = list(wire.tell(peer, "CXR_NODE", reports))
    assert told == [(one[0], 0x0000) for one in reports]
    assert [(uid, kind) for uid, kind, _ in watcher.heard] == [(one[1], 1) for one in reports]
    assert watcher.states() == ["SCHEDULED"] * 3
    assert {information.InputReadinessState for _, _, information in watcher.heard} == {"READY"}
