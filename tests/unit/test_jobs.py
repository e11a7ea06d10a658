"""The job table: who may take a job, who may end it, and what becomes of it in between."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cxr_node.domain.job import Job, JobState, NewJob
from cxr_node.store import jobs
from cxr_node.store.db import Row, Tx
from tests.bench import NOON, opened

LEASE = 300.0


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    store = opened(tmp_path / "node.sqlite")
    with store.transaction() as tx:
        yield tx
    store.close()


def enqueue(tx: Tx, *subjects: str, at: float = NOON, **how: object) -> None:
    jobs.enqueue(tx, [NewJob("analyse", subject, **how) for subject in subjects], at)  # type: ignore[arg-type]


def claim(tx: Tx, owner: str = "one", at: float = NOON, **how: object) -> list[Job]:
    return jobs.claim(tx, "analyse", owner, at, LEASE, **how)  # type: ignore[arg-type]


def take(tx: Tx, owner: str = "one", at: float = NOON) -> Job:
    (job,) = claim(tx, owner, at)
    return job


def subjects(found: list[Job]) -> list[str]:
    return [job.subject for job in found]


def state(tx: Tx, subject: str) -> Row:
    row = tx.row("SELECT * FROM job WHERE subject = ?", (subject,))
    assert row is not None
    return row


def test_the_longest_due_is_taken_first_and_no_more_than_asked_for(tx: Tx) -> None:
    enqueue(tx, "late", not_before=NOON - 1)
    enqueue(tx, "early", not_before=NOON - 2)
    enqueue(tx, "now a", "now b")
    assert subjects(claim(tx, limit=3)) == ["early", "late", "now a"]
    assert subjects(claim(tx, limit=3)) == ["now b"]
    assert claim(tx, limit=3) == []


def test_what_has_just_come_goes_before_what_failed_before(tx: Tx) -> None:
    enqueue(tx, "old a", "old b", "old c", not_before=NOON - 100)
    for job in claim(tx, limit=3):
        jobs.retry(tx, job, NOON - 50, NOON - 60, error_code="DISK_FULL", error="no room")
    enqueue(tx, "new a", "new b")
    assert subjects(claim(tx, limit=3)) == ["new a", "new b", "old a"]
    assert subjects(claim(tx, limit=3)) == ["old b", "old c"], "and it does not wait for more that is new"


def test_what_is_claimed_is_found_without_a_look_at_what_is_not(tx: Tx) -> None:
    asked: list[str] = []

    class Watching(Tx):
        def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
            asked.extend(row["detail"] for row in tx.rows(f"EXPLAIN QUERY PLAN {sql}", parameters))
            return tx.rows(sql, parameters)

    claim(Watching(tx._connection))
    jobs.is_due(Watching(tx._connection), "analyse", NOON)
    assert asked == ["SEARCH job USING INDEX job_ready (kind=? AND <expr>=? AND not_before<?)"] * 3


def test_a_job_is_not_taken_before_its_time(tx: Tx) -> None:
    enqueue(tx, "later", not_before=NOON + 10)
    assert claim(tx, at=NOON + 9.9) == []
    assert jobs.next_due(tx, ["analyse", "settle"]) == NOON + 10
    assert subjects(claim(tx, at=NOON + 10)) == ["later"]
    assert jobs.next_due(tx, ["analyse"]) is None


def test_a_job_is_due_where_it_would_be_taken(tx: Tx) -> None:
    assert not jobs.is_due(tx, "analyse", NOON)
    enqueue(tx, "later", not_before=NOON + 10, target="pacs")
    assert not jobs.is_due(tx, "analyse", NOON)
    assert jobs.is_due(tx, "analyse", NOON + 10)
    assert jobs.is_due(tx, "analyse", NOON + 10, "pacs")
    assert not jobs.is_due(tx, "analyse", NOON + 10, "other")
    assert not jobs.is_due(tx, "settle", NOON + 10)
    (job,) = claim(tx, at=NOON + 10)
    assert not jobs.is_due(tx, "analyse", NOON + 10)
    assert jobs.retry(tx, job, NOON + 20, NOON + 10, error_code="X", error="x")
    assert jobs.is_due(tx, "analyse", NOON + 20)


def test_only_the_kind_and_target_asked_for_are_taken(tx: Tx) -> None:
    jobs.enqueue(tx, [NewJob("deliver", "doc", "pacs"), NewJob("deliver", "doc", "archive")], NOON)
    assert claim(tx) == []
    (job,) = jobs.claim(tx, "deliver", "one", NOON, LEASE, limit=9, target="archive")
    assert job.target == "archive"
    (job,) = jobs.claim(tx, "deliver", "one", NOON, LEASE, limit=9)
    assert job.target == "pacs"


def test_ended_once_and_only_by_its_holder(tx: Tx) -> None:
    enqueue(tx, "film")
    job = take(tx)
    assert jobs.finish(tx, job, JobState.DONE, NOON)
    assert not jobs.finish(tx, job, JobState.FAILED, NOON)
    assert state(tx, "film")["state"] == "done"
    assert claim(tx) == []


def test_a_job_enqueued_while_it_runs_is_lost_to_its_holder(tx: Tx) -> None:
    enqueue(tx, "film")
    overtaken = take(tx, "one")
    enqueue(tx, "film")
    again = take(tx, "two")
    assert again.lease_token != overtaken.lease_token
    assert not jobs.finish(tx, overtaken, JobState.DONE, NOON)
    assert not jobs.retry(tx, overtaken, NOON + 9, NOON, error_code="X", error="x")
    assert state(tx, "film")["owner"] == "two"
    assert jobs.finish(tx, again, JobState.DONE, NOON)


@pytest.mark.parametrize("end", [JobState.DONE, JobState.FAILED, JobState.SKIPPED])
def test_a_job_that_has_ended_is_done_again_when_it_is_enqueued_again(tx: Tx, end: JobState) -> None:
    enqueue(tx, "film")
    jobs.finish(tx, take(tx), end, NOON, error_code="OLD", error="old")
    enqueue(tx, "film")
    assert (state(tx, "film")["attempt"], state(tx, "film")["error"]) == (0, None)
    assert take(tx).attempt == 1


@pytest.mark.parametrize(
    ("asked", "only_sooner", "due"),
    [(NOON + 50, True, NOON + 50), (NOON + 500, True, NOON + 100), (NOON + 500, False, NOON + 500)],
)
def test_a_waiting_job_is_put_off_only_without_only_sooner(tx: Tx, asked: float, only_sooner: bool, due: float) -> None:
    enqueue(tx, "study", not_before=NOON + 100)
    enqueue(tx, "study", not_before=asked, only_sooner=only_sooner)
    assert jobs.next_due(tx, ["analyse"]) == due


def test_only_sooner_does_not_bring_back_the_time_of_a_job_that_has_ended(tx: Tx) -> None:
    enqueue(tx, "study", not_before=NOON - 100)
    jobs.finish(tx, take(tx), JobState.DONE, NOON)
    enqueue(tx, "study", not_before=NOON + 100, only_sooner=True)
    assert jobs.next_due(tx, ["analyse"]) == NOON + 100


def test_hasten_moves_a_waiting_job_forward_and_never_back(tx: Tx) -> None:
    enqueue(tx, "study", not_before=NOON + 100)
    jobs.hasten(tx, NewJob("analyse", "study", not_before=NOON + 500))
    assert jobs.next_due(tx, ["analyse"]) == NOON + 100
    jobs.hasten(tx, NewJob("analyse", "study", not_before=NOON + 5))
    assert jobs.next_due(tx, ["analyse"]) == NOON + 5


def test_a_retry_waits_and_remembers_why(tx: Tx) -> None:
    enqueue(tx, "film")
    assert jobs.retry(tx, take(tx), NOON + 30, NOON, error_code="UNREACHABLE", error="the PACS is away")
    assert claim(tx, at=NOON + 29) == []
    assert state(tx, "film")["error"] == "the PACS is away"
    assert take(tx, at=NOON + 30).attempt == 2


def test_jobs_of_an_owner_that_went_are_handed_back_without_counting(tx: Tx) -> None:
    enqueue(tx, "a", "b")
    first, second = take(tx, "gone"), take(tx, "lives")
    assert jobs.release(tx, "gone", NOON) == 1
    assert not jobs.finish(tx, first, JobState.DONE, NOON)
    assert jobs.finish(tx, second, JobState.DONE, NOON)
    assert take(tx).attempt == 1


def test_on_a_start_everything_is_handed_back(tx: Tx) -> None:
    enqueue(tx, "a", "b")
    take(tx, "one"), take(tx, "two")
    assert jobs.release_all(tx, NOON) == 2
    assert sorted(subjects(claim(tx, limit=9))) == ["a", "b"]


def test_a_lease_that_ran_out_counts_as_an_attempt(tx: Tx) -> None:
    enqueue(tx, "film")
    hanging = take(tx)
    assert jobs.release_expired(tx, NOON + LEASE) == 0
    assert jobs.release_expired(tx, NOON + LEASE + 1) == 1
    assert take(tx, at=NOON + LEASE + 1).attempt == 2
    assert not jobs.finish(tx, hanging, JobState.DONE, NOON)


def test_one_crash_of_a_batch_blames_no_one_and_runs_them_alone(tx: Tx) -> None:
    enqueue(tx, "a", "b", "c")
    claim(tx, "infer", limit=3)
    enqueue(tx, "d")
    assert jobs.blame(tx, "infer", NOON, crashes=2, error="died") == []
    assert [subjects(claim(tx, limit=8)) for _ in range(4)] == [["d"], ["a"], ["b"], ["c"]]


def test_a_batch_leaves_out_those_that_are_to_run_alone(tx: Tx) -> None:
    enqueue(tx, "a", "b")
    claim(tx, "infer", limit=2)
    jobs.blame(tx, "infer", NOON, crashes=2, error="died")
    enqueue(tx, "c", "d", not_before=NOON - 1)
    assert [subjects(claim(tx, limit=8)) for _ in range(3)] == [["c", "d"], ["a"], ["b"]]


def test_a_job_that_crashes_twice_alone_is_set_aside(tx: Tx) -> None:
    enqueue(tx, "bad", "good")
    claim(tx, "infer", limit=2)
    assert jobs.blame(tx, "infer", NOON, crashes=2, error="died") == []
    take(tx, "infer")
    assert jobs.blame(tx, "infer", NOON, crashes=2, error="died") == []
    assert take(tx, "infer").subject == "bad"
    (aside,) = jobs.blame(tx, "infer", NOON, crashes=2, error="died")
    assert aside.subject == "bad"
    assert (state(tx, "bad")["state"], state(tx, "bad")["error_code"]) == ("failed", "CRASH")
    assert (state(tx, "good")["state"], state(tx, "good")["crash_count"]) == ("ready", 0)


def test_blame_leaves_the_jobs_of_others_alone(tx: Tx) -> None:
    enqueue(tx, "a")
    job = take(tx, "work")
    assert jobs.blame(tx, "infer", NOON, crashes=1, error="died") == []
    assert jobs.finish(tx, job, JobState.DONE, NOON)


def deliver(tx: Tx, owner: str) -> Job:
    jobs.enqueue(tx, [NewJob("deliver", "document", "pacs")], NOON)
    (job,) = jobs.claim(tx, "deliver", owner, NOON, LEASE)
    return job


def test_a_job_that_waits_for_a_peer_is_never_blamed(tx: Tx) -> None:
    for _ in range(3):
        assert deliver(tx, "work").attempt == 1
        assert jobs.blame(tx, "work", NOON, crashes=2, error="died", blameless={"deliver"}) == []
    assert (state(tx, "document")["state"], state(tx, "document")["crash_count"]) == ("ready", 0)
    assert (state(tx, "document")["alone"], state(tx, "document")["error"]) == (0, None)


def test_a_job_beside_one_that_waits_for_a_peer_was_alone(tx: Tx) -> None:
    enqueue(tx, "bad")
    for _ in range(2):
        take(tx, "work")
        deliver(tx, "work")
        aside = jobs.blame(tx, "work", NOON, crashes=2, error="died twice alone", blameless={"deliver"})
    assert [job.subject for job in aside] == ["bad"]
    assert state(tx, "bad")["error"] == "died twice alone"


def test_a_job_that_is_handed_back_after_a_crash_says_no_more_than_is_true(tx: Tx) -> None:
    enqueue(tx, "a", "b")
    claim(tx, "infer", limit=2)
    jobs.blame(tx, "infer", NOON, crashes=2, error="died twice alone")
    assert state(tx, "a")["error"] == state(tx, "b")["error"] == "the process that ran it died"


def test_targets_of_what_is_not_done(tx: Tx) -> None:
    jobs.enqueue(tx, [NewJob("deliver", "document", name) for name in ("ready", "failed", "done")], NOON)
    for name, end in (("failed", JobState.FAILED), ("done", JobState.DONE)):
        (job,) = jobs.claim(tx, "deliver", "one", NOON, LEASE, target=name)
        jobs.finish(tx, job, end, NOON)
    enqueue(tx, "film", target="another kind")
    assert jobs.targets(tx, "deliver") == {"ready", "failed"}


def test_a_clock_that_is_set_back_holds_nothing_up(tx: Tx) -> None:
    enqueue(tx, "now", "later")
    jobs.enqueue(tx, [NewJob("analyse", "later", not_before=NOON + 120)], NOON)
    assert jobs.release_expired(tx, NOON) == 0
    assert claim(tx, at=NOON - 3600) == []
    assert jobs.release_expired(tx, NOON - 3600) == 2
    assert jobs.oldest_ready(tx, NOON - 3600) == 0
    assert sorted(subjects(claim(tx, at=NOON - 3600, limit=2))) == ["later", "now"]


def test_clocks_that_differ_by_a_moment_are_no_clock_set_back(tx: Tx) -> None:
    enqueue(tx, "study", not_before=NOON + 120)
    assert jobs.release_expired(tx, NOON - 15) == 0
    assert jobs.next_due(tx, ["analyse"]) == NOON + 120


def test_counting_looks_at_no_job_that_is_done(tx: Tx) -> None:
    plan = [row["detail"] for row in tx.rows(f"EXPLAIN QUERY PLAN {jobs.COUNTS}")]
    scans = [detail for detail in plan if "SCAN job" in detail or "SEARCH job" in detail]
    assert [detail.split("INDEX ")[1].split()[0] for detail in scans] == ["job_ready", "job_running", "job_failed"]


def test_counts_by_kind_and_state(tx: Tx) -> None:
    enqueue(tx, "a", "b", "c", "d")
    for end in (JobState.DONE, JobState.FAILED):
        jobs.finish(tx, take(tx), end, NOON)
    take(tx)
    jobs.enqueue(tx, [NewJob("settle", "study", not_before=NOON + 60)], NOON)
    assert jobs.counts(tx) == {
        "analyse": {"ready": 1, "running": 1, "failed": 1},
        "settle": {"ready": 1, "running": 0, "failed": 0},
    }


def test_the_oldest_that_is_due_is_what_waits(tx: Tx) -> None:
    assert jobs.oldest_ready(tx, NOON) is None
    enqueue(tx, "a", not_before=NOON + 60)
    assert jobs.oldest_ready(tx, NOON) is None
    assert jobs.oldest_ready(tx, NOON + 75) == 15
