"""claim -> run -> commit: what becomes of a job for everything that its stage may do."""

import errno
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cxr_node.domain.job import Job, NewJob, RetryPolicy
from cxr_node.errors import Ineligible, Permanent, Transient
from cxr_node.pipeline import Step
from cxr_node.stages.stage import Commit, SingleStage, Stage
from cxr_node.store import events, jobs
from cxr_node.store.db import Row, Tx
from cxr_node.worker import Bell, Lane, Worker
from tests.bench import NOON, Clock, add_film, digest, opened, study_uid

LANE = Lane("test", ("film",))


def write(tx: Tx) -> Iterable[NewJob]:
    tx.execute("INSERT INTO setting VALUES ('result', '1')")
    return [NewJob("study", "s")]


@dataclass
class Script(Stage):
    """A stage that does as it is told: `play` gives the outcome of each job, or raises for the whole batch."""

    play: Callable[[Job], Commit | Exception]
    batches: list[list[str]] = field(default_factory=list)

    def run_batch(self, jobs: Sequence[Job]) -> Sequence[Commit | Exception]:
        self.batches.append([job.subject for job in jobs])
        return [self.play(job) for job in jobs]

    def abandoned(self, _tx: Tx, _job: Job) -> Iterable[NewJob]:
        return [NewJob("study", "abandoned")]


class Node:
    """A worker with one kind of job over a real store."""

    def __init__(self, path: Path, play: Callable[[Job], Commit | Exception], batch: int = 1) -> None:
        self.store, self.clock, self.stage, self.woken = opened(path), Clock(), Script(play), 0
        step = Step("film", "", "", "work", then=("study",), retry=RetryPolicy(10, 60, attempts=3), batched=True)
        stages = {"film": (step, self.stage)}
        self.worker = Worker(
            self.store, stages, "me", self._wake, self.clock, lambda: 0.0, batch, (0.0,) * 3, pseudonym=str
        )

    def _wake(self) -> None:
        self.woken += 1

    def enqueue(self, *subjects: str) -> None:
        with self.store.transaction() as tx:
            jobs.enqueue(tx, [NewJob("film", subject) for subject in subjects], self.clock())

    def run(self) -> bool:
        return self.worker.run_once(LANE)

    def job(self, subject: str = "a") -> Row:
        (row,) = self.rows("SELECT * FROM job WHERE subject = ?", subject)
        return row

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        with self.store.reading() as tx:
            return tx.rows(sql, parameters)

    def written(self) -> bool:
        return bool(self.rows("SELECT * FROM setting"))


@pytest.fixture
def node(tmp_path: Path) -> Callable[..., Node]:
    def make(play: Callable[[Job], Commit | Exception], batch: int = 1) -> Node:
        node = Node(tmp_path / "node.sqlite", play, batch)
        node.enqueue("a")
        return node

    return make


def test_a_result_its_completion_and_its_successors_are_one(node: Callable[..., Node]) -> None:
    done = node(lambda _: write)
    assert done.run()
    assert done.written()
    assert done.job()["state"] == "done"
    assert done.job("s")["state"] == "ready"
    assert done.woken == 1
    assert not done.run()


@pytest.mark.parametrize(
    ("raised", "state", "code"),
    [
        (Ineligible("COLOUR", "three samples"), "skipped", "COLOUR"),
        (Permanent("BAD_PIXELS", "does not decode"), "failed", "BAD_PIXELS"),
        (ValueError("Doe^Jane is no number"), "failed", "BUG"),
    ],
)
def test_a_job_without_a_result_ends_with_its_reason(
    node: Callable[..., Node], raised: Exception, state: str, code: str
) -> None:
    ended = node(lambda _: raised)
    ended.run()
    assert (ended.job()["state"], ended.job()["error_code"]) == (state, code)
    assert ended.job("abandoned")["state"] == "ready"
    with ended.store.reading() as tx:
        (event,) = events.of_study(tx, "a")
    assert (event["event"], event["kind"], event["code"]) == (f"job.{state}", "film", code)
    assert not ended.run()


def test_a_failure_that_is_no_jobs_ends_the_worker_so_that_it_is_started_anew(node: Callable[..., Node]) -> None:
    broken = node(lambda _: lambda _: ())
    broken.store.close()
    broken.worker.run([LANE])
    assert broken.worker.broken


def test_a_bug_is_logged_with_where_it_happened_and_without_its_message(node: Callable[..., Node]) -> None:
    def play(_: Job) -> Commit:
        return lambda _: [NewJob("study", str(int("Doe^Jane")))]

    bug = node(play)
    with capture_logs() as logs:
        bug.run()
    (entry,) = [entry for entry in logs if entry["event"] == "job.failed"]
    assert entry["log_level"] == "error"
    assert isinstance(entry["exc_info"], ValueError)
    assert "Doe" not in bug.job()["error"] + entry["reason"]
    assert "ValueError" in bug.job()["error"]


def test_a_foreseen_failure_is_logged_without_a_trace(node: Callable[..., Node]) -> None:
    with capture_logs() as logs:
        node(lambda _: Permanent("BAD_PIXELS", "does not decode")).run()
    (entry,) = logs
    assert (entry["event"], entry["log_level"], entry["exc_info"]) == ("job.failed", "warning", None)


@pytest.mark.parametrize(
    ("kind", "subject", "film"), [("analyse", digest(1), digest(1)[:12]), ("settle", study_uid(1), None)]
)
def test_logs_name_a_study_by_its_pseudonym_and_a_film_by_its_digest(
    tmp_path: Path, kind: str, subject: str, film: str | None
) -> None:
    store = opened(tmp_path / "node.sqlite")
    stages = {kind: (Step(kind, "", "", "work", then=()), Script(lambda _job: lambda _tx: ()))}
    with store.transaction() as tx:
        add_film(tx, 1)
        jobs.enqueue(tx, [NewJob(kind, subject)], NOON)
    worker = Worker(store, stages, "me", lambda: None, Clock(), pseudonym=lambda uid: f"s-{uid[-1]}")
    with capture_logs() as logs:
        worker.run_once(Lane("l", (kind,)))
    assert [(entry["study"], entry["film"]) for entry in logs] == [("s-1", film)]


def test_a_transient_failure_is_tried_again_later_and_later_and_then_given_up(node: Callable[..., Node]) -> None:
    away = node(lambda _: Transient("UNREACHABLE", "the PACS is away"))
    for seconds in (5, 10):
        assert away.run()
        assert (away.job()["state"], away.job()["not_before"]) == ("ready", away.clock() + seconds)
        assert not away.run()
        away.clock.turn(seconds)
    away.run()
    assert (away.job()["state"], away.job()["error_code"], away.job()["attempt"]) == ("failed", "UNREACHABLE", 3)


@pytest.mark.parametrize("raised", [Transient("DATABASE_BUSY", "busy"), ZeroDivisionError()])
def test_a_commit_that_fails_leaves_nothing_half_written(node: Callable[..., Node], raised: Exception) -> None:
    def commit(tx: Tx) -> Iterable[NewJob]:
        write(tx)
        raise raised

    half = node(lambda _: commit)
    half.run()
    assert not half.written()
    assert half.job()["state"] == ("ready" if isinstance(raised, Transient) else "failed")


def test_a_successor_that_the_table_does_not_name_is_a_bug(node: Callable[..., Node]) -> None:
    astray = node(lambda _job: lambda _tx: [NewJob("elsewhere", "x")])
    astray.run()
    assert (astray.job()["state"], astray.job()["error_code"]) == ("failed", "BUG")
    assert astray.rows("SELECT * FROM job WHERE kind = 'elsewhere'") == []


@pytest.mark.parametrize("outcome", [write, Permanent("X", "x"), Transient("X", "x"), Ineligible("X", "x")])
def test_a_job_that_was_overtaken_writes_nothing(node: Callable[..., Node], outcome: Commit | Exception) -> None:
    def play(job: Job) -> Commit | Exception:
        overtaken.enqueue(job.subject)
        return outcome

    overtaken = node(play)
    with capture_logs() as logs:
        overtaken.run()
    assert [entry["event"] for entry in logs] == ["job.overtaken"]
    assert not overtaken.written()
    assert (overtaken.job()["state"], overtaken.job()["attempt"], overtaken.job()["error"]) == ("ready", 0, None)
    assert overtaken.rows("SELECT * FROM event") == []


def test_one_of_a_batch_that_fails_does_not_take_the_others_along(node: Callable[..., Node]) -> None:
    mixed = node(lambda job: Permanent("BAD", "bad") if job.subject == "a" else lambda _: (), batch=8)
    mixed.enqueue("b", "c")
    mixed.run()
    assert mixed.stage.batches == [["a", "b", "c"]]
    assert [mixed.job(subject)["state"] for subject in "abc"] == ["failed", "done", "done"]


def test_a_batch_that_fails_as_a_whole_ends_the_process_that_holds_it(node: Callable[..., Node]) -> None:
    def play(_: Job) -> Commit:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    sticky = node(play, batch=8)
    sticky.enqueue("b", "c")
    sticky.worker.run([LANE])
    assert sticky.worker.broken
    assert sticky.stage.batches == [["a", "b", "c"]]
    assert [sticky.job(subject)["state"] for subject in "abc"] == ["running"] * 3, "accounted for by who sees it end"


def test_what_a_batch_foresaw_holds_for_each_of_its_jobs(node: Callable[..., Node]) -> None:
    def play(_: Job) -> Commit:
        raise Transient("DATABASE_BUSY", "busy")

    waiting = node(play, batch=8)
    waiting.enqueue("b")
    waiting.run()
    assert [(waiting.job(one)["state"], waiting.job(one)["error_code"]) for one in "ab"] == [
        ("ready", "DATABASE_BUSY")
    ] * 2


def test_a_result_is_written_again_while_the_database_is_busy_not_made_again(node: Callable[..., Node]) -> None:
    tries: list[int] = []

    def commit(tx: Tx) -> Iterable[NewJob]:
        tries.append(1)
        if len(tries) < 4:
            raise Transient("DATABASE_BUSY", "busy")
        return write(tx)

    late = node(lambda _: commit)
    late.run()
    assert (late.job()["state"], late.stage.batches) == ("done", [["a"]])


def test_a_job_that_cannot_be_accounted_for_is_a_warning_and_its_neighbours_are_done(node: Callable[..., Node]) -> None:
    class Busy(Script):
        def abandoned(self, _tx: Tx, _job: Job) -> Iterable[NewJob]:
            raise Transient("DATABASE_BUSY", "busy")

    mixed = node(lambda job: Permanent("BAD", "bad") if job.subject == "a" else lambda _: (), batch=8)
    mixed.enqueue("b")
    step, _ = mixed.worker.stages["film"]
    mixed.worker.stages = {"film": (step, Busy(mixed.stage.play))}
    with capture_logs() as logs:
        mixed.run()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("job.unaccounted", "warning"), ("job.done", "info"),
    ]  # fmt: skip
    assert "exc_info" not in logs[0]
    assert [mixed.job(subject)["state"] for subject in "ab"] == ["running", "done"]


def test_kinds_are_looked_for_in_the_order_of_the_lane(tmp_path: Path) -> None:
    ran: list[str] = []

    class Note(SingleStage):
        def run(self, job: Job) -> Commit:
            ran.append(job.kind)
            return lambda _: ()

    store = opened(tmp_path / "node.sqlite")
    stages = {kind: (Step(kind, "", "", "work", then=()), Note()) for kind in ("first", "second")}
    with store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("second", "x"), NewJob("first", "y"), NewJob("first", "z")], NOON)
    worker = Worker(store, stages, "me", lambda: None, Clock(), pseudonym=str)
    while worker.run_once(Lane("l", ("first", "second"))):
        pass
    assert ran == ["first", "first", "second"]


def test_lanes_work_until_they_are_stopped_and_show_that_they_live(node: Callable[..., Node]) -> None:
    done = threading.Event()

    def play(_: Job) -> Commit:
        done.set()
        return lambda _: ()

    live = node(play)
    thread = threading.Thread(target=live.worker.run, args=([LANE],))
    thread.start()
    assert done.wait(60)
    live.worker.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert live.job()["state"] == "done"
    assert set(live.worker.beats) == {"test"}


def test_a_disk_that_cannot_be_read_now_may_be_read_later(node: Callable[..., Node]) -> None:
    failing = node(lambda _: OSError(errno.EIO, "Input/output error"))

    assert failing.run()

    job = failing.job()
    assert (job["state"], job["error_code"]) == ("ready", "IO_ERROR")
    assert job["not_before"] > NOON


def test_a_lack_of_memory_is_the_trouble_of_the_process(node: Callable[..., Node]) -> None:
    starved = node(lambda _: MemoryError())

    starved.worker.run([LANE])

    assert starved.worker.broken
    assert starved.job()["state"] == "running"  # for the supervisor to account for


def test_a_ring_that_came_before_the_wait_is_heard() -> None:
    bell = Bell()
    bell.ring()
    assert bell.wait(0, 60) == 1
    assert bell.wait(1, 0) == 1


def test_a_ring_wakes_who_waits() -> None:
    bell, heard = Bell(), []
    thread = threading.Thread(target=lambda: heard.append(bell.wait(0, 60)))
    thread.start()
    bell.ring()
    thread.join(60)
    assert heard == [1]
