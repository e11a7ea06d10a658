"""Trying again by an operator's word: what had failed, its history forgotten, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr_node.domain.job import JobState, NewJob
from cxr_node.errors import Permanent
from cxr_node.store import jobs, results
from cxr_node.store.db import Tx
from cxr_node.store.requeue import requeue_failed, requeue_study
from cxr_node.store.results import Written
from tests.bench import JUDGING, MODEL, NOON, add_film, opened, study_uid


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    store = opened(tmp_path / "node.sqlite")
    with store.transaction() as tx:
        yield tx
    store.close()


def ended(tx: Tx, state: JobState, kind: str, subject: str, target: str = "") -> None:
    jobs.enqueue(tx, [NewJob(kind, subject, target)], NOON)
    (job,) = jobs.claim(tx, kind, "one", NOON, 300)
    jobs.finish(tx, job, state, NOON, error_code="X", error="x")


def states(tx: Tx) -> dict[tuple[str, str], str]:
    return {(row["kind"], row["subject"]): row["state"] for row in tx.rows("SELECT kind, subject, state FROM job")}


def crash(tx: Tx, times: int) -> list[str]:
    """The analysis that is due takes its process down so many times; the subjects that are set aside."""
    aside = []
    for _ in range(times):
        jobs.claim(tx, "analyse", "infer", NOON, 300)
        aside += [job.subject for job in jobs.blame(tx, "infer", NOON, crashes=2, error="died")]
    return aside


def test_all_that_failed_is_made_ready_and_nothing_else(tx: Tx) -> None:
    ended(tx, JobState.FAILED, "analyse", "bad")
    ended(tx, JobState.FAILED, "deliver", "document", "pacs")
    ended(tx, JobState.SKIPPED, "analyse", "in colour")
    ended(tx, JobState.DONE, "analyse", "good")
    assert requeue_failed(tx, NOON + 60) == 2
    assert states(tx) == {
        ("analyse", "bad"): "ready",
        ("deliver", "document"): "ready",
        ("analyse", "in colour"): "skipped",
        ("analyse", "good"): "done",
    }
    (job,) = jobs.claim(tx, "analyse", "one", NOON + 60, 300)
    assert (job.subject, job.attempt) == ("bad", 1)


def test_a_study_is_judged_again_from_its_films_on(tx: Tx) -> None:
    film, other = add_film(tx, 1), add_film(tx, 2)
    ended(tx, JobState.DONE, "analyse", film, MODEL.digest)
    ended(tx, JobState.FAILED, "analyse", other, MODEL.digest)
    assert requeue_study(tx, study_uid(1), JUDGING, NOON) == 1
    assert states(tx) == {("analyse", film): "ready", ("analyse", other): "failed"}


def test_what_failed_of_its_documents_is_tried_again(tx: Tx) -> None:
    uid = study_uid(1)
    jobs.enqueue(tx, [NewJob("analyse", add_film(tx, 1), MODEL.digest)], NOON)
    results.add_document(tx, Written("1.2.9", uid, 1, "full", "sr", "1.2", "1.2.8", "outbox/a.dcm"), NOON)
    ended(tx, JobState.FAILED, "report", uid, "1/full")
    ended(tx, JobState.FAILED, "deliver", "1.2.9", "pacs")
    ended(tx, JobState.FAILED, "report", study_uid(2), "1/full")
    assert requeue_study(tx, uid, JUDGING, NOON) == 3
    assert [key[1] for key, state in states(tx).items() if state == "failed"] == [study_uid(2)]


@pytest.mark.parametrize("whole_study", [True, False])
def test_a_film_that_was_set_aside_has_its_crashes_forgotten(tx: Tx, whole_study: bool) -> None:
    film = add_film(tx, 1)
    jobs.enqueue(tx, [NewJob("analyse", film, MODEL.digest)], NOON)
    assert crash(tx, 2) == [film]
    assert (requeue_study(tx, study_uid(1), JUDGING, NOON) if whole_study else requeue_failed(tx, NOON)) == 1
    assert crash(tx, 1) == []
    assert crash(tx, 1) == [film]


def test_a_study_that_nobody_knows_is_said(tx: Tx) -> None:
    with pytest.raises(Permanent, match=r"no film of study 1\.2\.3 has been received"):
        requeue_study(tx, "1.2.3", JUDGING, NOON)
