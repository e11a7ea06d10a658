"""The job table: the one queue between the processes.

A claim writes owner and a fresh lease token; a completion that does not find its token again has been overtaken and is
discarded. Every function runs inside the caller's transaction.
"""

import uuid
from collections.abc import Collection, Iterable, Sequence

from cxr_node.domain.job import Job, JobState, NewJob
from cxr_node.message import Message
from cxr_node.store.db import Row, Tx
from cxr_node.store.kept import keep

_CLOCK_STEP_SECONDS = 60.0  # what was written so far in the future was written before the clock was set back

COUNTS = """
    SELECT kind, state, count(*) AS n FROM job WHERE state = 'ready' GROUP BY kind
    UNION ALL SELECT kind, state, count(*) FROM job WHERE state = 'running' GROUP BY +kind
    UNION ALL SELECT kind, state, count(*) FROM job WHERE state = 'failed' GROUP BY kind
"""
"""Each part has an index of its own (`+kind` keeps SQLite from a whole one), so that what is done is not looked at."""


def enqueue(tx: Tx, jobs: Iterable[NewJob], now: float) -> None:
    """Insert jobs, or make them ready again if they are known, their history forgotten.

    A job that is running is made ready too: its holder loses the lease and what it finds is discarded, since it began
    from what was true before.
    """
    for job in jobs:
        tx.execute(
            """
            INSERT INTO job (kind, subject, target, not_before, changed_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (kind, subject, target) DO UPDATE SET
                not_before = CASE WHEN ? AND state = 'ready' THEN min(not_before, excluded.not_before)
                    ELSE excluded.not_before END, state = 'ready', attempt = 0, crash_count = 0, alone = 0,
                owner = NULL, lease_token = NULL, lease_until = NULL, error_code = NULL, error = NULL,
                changed_at = excluded.changed_at
            """,
            (job.kind, job.subject, job.target, job.not_before or now, now, job.only_sooner),
        )


def enqueue_unless_open(tx: Tx, jobs: Iterable[NewJob], now: float) -> None:
    """The same, but one that waits keeps its pauses, and one that runs its lease: it looks again when it ends."""
    for job in jobs:
        is_open = tx.row(
            "SELECT 1 FROM job WHERE kind = ? AND subject = ? AND target = ? AND state IN ('ready', 'running')",
            (job.kind, job.subject, job.target),
        )
        if is_open is None:
            enqueue(tx, [job], now)


def hasten(tx: Tx, job: NewJob) -> None:
    """Make a job that waits for its time due earlier, never later."""
    tx.execute(
        "UPDATE job SET not_before = min(not_before, ?) "
        "WHERE kind = ? AND subject = ? AND target = ? AND state = 'ready'",
        (job.not_before, job.kind, job.subject, job.target),
    )


def claim(
    tx: Tx, kind: str, owner: str, now: float, lease_seconds: float, *, limit: int = 1, target: str | None = None
) -> list[Job]:
    """Take up to `limit` jobs of a kind: new ones first, then retries, the longest due first.

    They are of one target or of none, or of all.

    So what failed before, however much of it there is, never stands before what has just come. A job that was there
    when its process died is taken alone, so that it cannot take its neighbours with it.
    """
    due = _due(tx, kind, now, target, limit, retries=False)
    due += _due(tx, kind, now, target, limit - len(due), retries=True)
    batch = due[:1] if due and due[0]["alone"] else [row for row in due if not row["alone"]]
    return [_take(tx, int(row["id"]), owner, now, lease_seconds) for row in batch]


def is_due(tx: Tx, kind: str, now: float, target: str | None = None) -> bool:
    """Whether `claim` would find a job."""
    found = tx.row(
        """
        SELECT 1 FROM job WHERE kind = ? AND state = 'ready' AND (attempt > 0) IN (0, 1) AND not_before <= ?
            AND (? IS NULL OR target IN (?, '')) LIMIT 1
        """,
        (kind, now, target, target),
    )
    return found is not None


def _due(tx: Tx, kind: str, now: float, target: str | None, limit: int, *, retries: bool) -> list[Row]:
    return tx.rows(
        """
        SELECT id, alone FROM job
        WHERE kind = ? AND state = 'ready' AND (attempt > 0) = ? AND not_before <= ?
            AND (? IS NULL OR target IN (?, ''))
        ORDER BY not_before, id LIMIT ?
        """,
        (kind, retries, now, target, target, limit),
    )


def next_due(tx: Tx, kinds: Sequence[str], target: str | None = None) -> float | None:
    """When the next ready job of these kinds (of one target or of none, or of all) is due, seconds since 1970 UTC."""
    marks = ", ".join("?" for _ in kinds)
    row = tx.row(
        f"""
        SELECT min(not_before) AS due FROM job
        WHERE state = 'ready' AND kind IN ({marks}) AND (? IS NULL OR target IN (?, ''))
        """,  # noqa: S608 - the only variable part is the number of marks
        (*kinds, target, target),
    )
    return row["due"] if row else None


def targets(tx: Tx, kind: str) -> set[str]:
    """The targets of the jobs of a kind that are not done."""
    return {
        str(row["target"])
        for row in tx.rows("SELECT DISTINCT target FROM job WHERE kind = ? AND state != 'done'", (kind,))
    }


def by_id(tx: Tx, identifier: int) -> Row:
    row = tx.row("SELECT * FROM job WHERE id = ?", (identifier,))
    assert row is not None  # noqa: S101 - a job in hand is not deleted
    return row


def _take(tx: Tx, identifier: int, owner: str, now: float, lease_seconds: float) -> Job:
    row = tx.row(
        """
        UPDATE job SET state = 'running', attempt = attempt + 1, owner = ?, lease_token = ?, lease_until = ?,
            changed_at = ?
        WHERE id = ? RETURNING id, kind, subject, target, attempt, lease_token
        """,
        (owner, uuid.uuid4().hex, now + lease_seconds, now, identifier),
    )
    assert row is not None  # noqa: S101 - the row was read in this transaction
    return Job(**row)


def finish(
    tx: Tx, job: Job, state: JobState, now: float, *, error_code: str | None = None, error: str | None = None
) -> bool:
    """End a job if the lease still holds; False means another has it, and nothing may be written."""
    changed = tx.execute(
        """
        UPDATE job SET state = ?, error_code = ?, error = ?, error_message = ?, owner = NULL, lease_token = NULL,
            lease_until = NULL, changed_at = ? WHERE id = ? AND lease_token = ? AND state = 'running'
        """,
        (state, error_code, error, keep(error), now, job.id, job.lease_token),
    )
    return changed == 1


def end(tx: Tx, kind: str, subject: str, target: str, now: float) -> None:
    """What a job is for has come true without it, whatever its state; who runs it has lost it."""
    tx.execute(
        """
        UPDATE job SET state = 'done', error_code = NULL, error = NULL, owner = NULL, lease_token = NULL,
            lease_until = NULL, changed_at = ? WHERE kind = ? AND subject = ? AND target = ?
        """,
        (now, kind, subject, target),
    )


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


def release_all(tx: Tx, now: float) -> int:
    """Hand back every running job: no process that could hold one is there."""
    owners = [str(row["owner"]) for row in tx.rows("SELECT DISTINCT owner FROM job WHERE state = 'running'")]
    return sum(release(tx, owner, now) for owner in owners)


def release_expired(tx: Tx, now: float) -> int:
    """Hand back jobs whose lease ran out: their owner hangs; and make due what the clock was set back from under."""
    early = tx.execute(
        "UPDATE job SET not_before = min(not_before, ?), changed_at = ? WHERE state = 'ready' AND changed_at > ?",
        (now, now, now + _CLOCK_STEP_SECONDS),
    )
    return early + tx.execute(
        """
        UPDATE job SET state = 'ready', owner = NULL, lease_token = NULL, lease_until = NULL, changed_at = ?
        WHERE state = 'running' AND lease_until < ?
        """,
        (now, now),
    )


def blame(tx: Tx, owner: str, now: float, *, crashes: int, error: str, blameless: Collection[str] = ()) -> list[Job]:
    """Account for a process that died with jobs in hand; the jobs that are set aside for it.

    Jobs of the kinds that are `blameless` are handed back. Of several others each is to run alone; one that was alone
    has its crash counted, and is failed with `error` when it has `crashes` of them.
    """
    running = tx.rows("SELECT * FROM job WHERE state = 'running' AND owner = ?", (owner,))
    suspects = [row for row in running if row["kind"] not in blameless]
    set_aside = []
    for row in suspects:
        crash_count = int(row["crash_count"]) + (1 if len(suspects) == 1 else 0)
        failed = crash_count >= crashes
        why = error if failed else Message("the process that ran it died")
        if failed:
            set_aside.append(Job(**{name: row[name] for name in Job.__slots__}))
        tx.execute(
            """
            UPDATE job SET state = ?, crash_count = ?, alone = 1, owner = NULL, lease_token = NULL, lease_until = NULL,
                error_code = 'CRASH', error = ?, error_message = ?, changed_at = ? WHERE id = ?
            """,
            (JobState.FAILED if failed else JobState.READY, crash_count, why, keep(why), now, row["id"]),
        )  # fmt: skip
    release(tx, owner, now)
    return set_aside


def counts(tx: Tx) -> dict[str, dict[str, int]]:
    """How many jobs are ready, running and failed, by kind."""
    table: dict[str, dict[str, int]] = {}
    for row in tx.rows(COUNTS):
        table.setdefault(row["kind"], {"ready": 0, "running": 0, "failed": 0})[row["state"]] = row["n"]
    return table


def oldest_ready(tx: Tx, now: float) -> float | None:
    """Seconds that the job longest due has been waiting; None when nothing is due."""
    row = tx.row("SELECT min(not_before) AS t FROM job WHERE state = 'ready' AND not_before <= ?", (now,))
    return max(0.0, now - row["t"]) if row and row["t"] is not None else None
