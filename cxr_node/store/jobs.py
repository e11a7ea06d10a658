"""The job table: the one queue between the processes.

A claim writes owner and a fresh lease token; a completion that does not find its token again has been overtaken and is
discarded. Every function runs inside the caller's transaction.
"""

import uuid
from collections.abc import Iterable, Sequence

from cxr_node.domain.job import Job, JobState, NewJob
from cxr_node.store.db import Row, Tx


def enqueue(tx: Tx, jobs: Iterable[NewJob], now: float) -> None:
    """Insert jobs, or make them ready again if they are known.

    A job that is running is made ready too: its holder loses the lease and what it finds is discarded, since it began
    from what was true before.
    """
    for job in jobs:
        tx.execute(
            """
            INSERT INTO job (kind, subject, target, not_before, changed_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (kind, subject, target) DO UPDATE SET
                state = 'ready', not_before = excluded.not_before, attempt = 0, owner = NULL, lease_token = NULL,
                lease_until = NULL, error_code = NULL, error = NULL, changed_at = excluded.changed_at
            """,
            (job.kind, job.subject, job.target, job.not_before or now, now),
        )


def claim(
    tx: Tx, kinds: Sequence[str], owner: str, now: float, lease_seconds: float, *, limit: int = 1, target: str | None = None
) -> list[Job]:
    """Take up to `limit` jobs of one kind, the kinds tried in the order given, the longest due first.

    A job that was there when its process died is taken alone, so that it cannot take its neighbours with it.
    """
    for kind in kinds:
        due = tx.rows(
            f"""
            SELECT id, alone FROM job
            WHERE kind = ? AND state = 'ready' AND not_before <= ? {"AND target = ?" if target is not None else ""}
            ORDER BY not_before, id LIMIT ?
            """,  # noqa: S608 - the only variable part is a constant clause
            (kind, now, *([target] if target is not None else []), limit),
        )
        batch = due[:1] if due and due[0]["alone"] else [row for row in due if not row["alone"]]
        if batch:
            return [_take(tx, int(row["id"]), owner, now, lease_seconds) for row in batch]
    return []


def _take(tx: Tx, identifier: int, owner: str, now: float, lease_seconds: float) -> Job:
    row = tx.row(
        """
        UPDATE job SET state = 'running', attempt = attempt + 1, owner = ?, lease_token = ?, lease_until = ?, changed_at = ?
        WHERE id = ? RETURNING id, kind, subject, target, attempt, lease_token
        """,
        (owner, uuid.uuid4().hex, now + lease_seconds, now, identifier),
    )
    assert row is not None  # noqa: S101 - the row was read in this transaction
    return Job(**row)


def finish(tx: Tx, job: Job, state: JobState, now: float, *, error_code: str | None = None, error: str | None = None) -> bool:
    """End a job if the lease still holds; False means another has it, and nothing may be written."""
    changed = tx.execute(
        """
        UPDATE job SET state = ?, error_code = ?, error = ?, owner = NULL, lease_token = NULL, lease_until = NULL,
            changed_at = ? WHERE id = ? AND lease_token = ? AND state = 'running'
        """,
        (state, error_code, error, now, job.id, job.lease_token),
    )
    return changed == 1


def retry(tx: Tx, job: Job, not_before: float, now: float, *, error_code: str, error: str) -> bool:
    """Hand a job back, to be tried again from `not_before`; False when the lease was lost."""
    held = finish(tx, job, JobState.READY, now, error_code=error_code, error=error)
    if held:
        tx.execute("UPDATE job SET not_before = ? WHERE id = ?", (not_before, job.id))
    return held


def release(tx: Tx, owner: str, now: float) -> int:
    """Hand back the jobs of an owner that is gone and was not at fault; how many there were."""
    return tx.execute(
        """
        UPDATE job SET state = 'ready', attempt = max(attempt - 1, 0), owner = NULL, lease_token = NULL,
            lease_until = NULL, changed_at = ? WHERE state = 'running' AND owner = ?
        """,
        (now, owner),
    )


def release_others(tx: Tx, owners: Sequence[str], now: float) -> int:
    """Hand back every running job whose owner is not among `owners` (those that live)."""
    gone = {str(row["owner"]) for row in tx.rows("SELECT DISTINCT owner FROM job WHERE state = 'running'")} - set(owners)
    return sum(release(tx, owner, now) for owner in gone)


def release_expired(tx: Tx, now: float) -> int:
    """Hand back jobs whose lease ran out: their owner hangs."""
    return tx.execute(
        """
        UPDATE job SET state = 'ready', owner = NULL, lease_token = NULL, lease_until = NULL, changed_at = ?
        WHERE state = 'running' AND lease_until < ?
        """,
        (now, now),
    )


def blame(tx: Tx, owner: str, now: float, *, crashes: int, error: str) -> list[Row]:
    """Account for a process that died with jobs in hand; the jobs that are set aside for it.

    The members of a batch are to run alone; one that was alone has its crash counted, and is failed when it has
    `crashes` of them.
    """
    running = tx.rows("SELECT * FROM job WHERE state = 'running' AND owner = ?", (owner,))
    for row in running:
        crash_count = int(row["crash_count"]) + (1 if len(running) == 1 else 0)
        failed = crash_count >= crashes
        tx.execute(
            """
            UPDATE job SET state = ?, crash_count = ?, alone = 1, owner = NULL, lease_token = NULL, lease_until = NULL,
                error_code = 'CRASH', error = ?, changed_at = ? WHERE id = ?
            """,
            (JobState.FAILED if failed else JobState.READY, crash_count, error, now, row["id"]),
        )
        row["failed"] = failed
    return [row for row in running if row["failed"]]


def counts(tx: Tx) -> dict[str, dict[str, int]]:
    """How many jobs are ready, running and failed, by kind."""
    rows = tx.rows(
        """
        SELECT kind, state, count(*) AS n FROM job WHERE state IN ('ready', 'running', 'failed') GROUP BY kind, state
        """
    )
    table: dict[str, dict[str, int]] = {}
    for row in rows:
        table.setdefault(row["kind"], {"ready": 0, "running": 0, "failed": 0})[row["state"]] = row["n"]
    return table


def oldest_ready(tx: Tx, now: float) -> float | None:
    """Seconds that the job longest due has been waiting; None when nothing is due."""
    row = tx.row("SELECT min(not_before) AS t FROM job WHERE state = 'ready' AND not_before <= ?", (now,))
    return max(0.0, now - row["t"]) if row and row["t"] is not None else None


def requeue_failed(tx: Tx, now: float) -> int:
    """Make every failed job ready again, its history of crashes forgotten; how many there were."""
    return tx.execute(
        """
        UPDATE job SET state = 'ready', attempt = 0, crash_count = 0, alone = 0, not_before = ?, error_code = NULL,
            error = NULL, changed_at = ? WHERE state = 'failed'
        """,
        (now, now),
    )
