"""Several processes at one job table: every job is taken by one of them, and nobody is turned away."""

import collections
import multiprocessing
from pathlib import Path
from typing import Any

from cxr_node.domain.job import JobState, NewJob
from cxr_node.store import jobs
from tests.bench import NOON, opened

JOBS, PROCESSES = 120, 4


def _work(path: Path, owner: str, start: Any, taken: Any) -> None:
    store = opened(path)
    start.wait()
    while True:
        with store.transaction() as tx:
            batch = jobs.claim(tx, "analyse", owner, NOON, 300, limit=2)
        if not batch:
            return
        for job in batch:
            with store.transaction() as tx:
                ended = jobs.finish(tx, job, JobState.DONE, NOON)
            taken.put((job.subject, owner, ended))


def test_no_job_is_taken_twice(tmp_path: Path) -> None:
    path = tmp_path / "node.sqlite"
    store = opened(path)
    with store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("analyse", f"film {number}") for number in range(JOBS)], NOON)
    context = multiprocessing.get_context("spawn")
    start, taken = context.Barrier(PROCESSES), context.Queue()
    processes = [context.Process(target=_work, args=(path, f"p{n}", start, taken)) for n in range(PROCESSES)]
    for process in processes:
        process.start()
    found = [taken.get(timeout=120) for _ in range(JOBS)]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert taken.empty()
    assert collections.Counter(subject for subject, _, _ in found).most_common(1)[0][1] == 1
    assert all(ended for _, _, ended in found)
    with store.reading() as tx:
        assert tx.row("SELECT count(*) AS n FROM job WHERE state = 'done'") == {"n": JOBS}
    store.close()
