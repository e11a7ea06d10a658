"""Messages to the RIS: written once, sent in their order to each destination, on record with their answer.

Of each destination one message has a job at a time, so that none overtakes another while the RIS is away.
"""

from dataclasses import dataclass
from typing import Any

from cxr_node.domain.job import NewJob
from cxr_node.store.db import Row, Tx
from cxr_node.store.kept import told

RESULT = "ORU^R01"
RETRACTION = "withdrawn"
"""What a message tells of that takes a result back; a number may follow."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message in the outbox. `kind` is its type, such as ORU^R01; `about` the revision or the tier that it tells of.

    `content` holds the bytes that are sent, each time the same; `control_id` is its MSH-10.
    """

    control_id: str
    destination: str
    study_instance_uid: str
    kind: str
    about: str
    content: bytes


def add(tx: Tx, message: Outgoing, now: float) -> list[NewJob]:
    """Put a message at the end of its destination's queue; one that says the same of a study is not told twice."""
    added = tx.execute(
        "INSERT OR IGNORE INTO message (control_id, destination, study_instance_uid, kind, about, content, written_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            message.control_id, message.destination, message.study_instance_uid, message.kind, message.about,
            message.content, now,
        ),
    )  # fmt: skip
    return next_up(tx, message.destination) if added else []


def next_up(tx: Tx, destination: str) -> list[NewJob]:
    """The job of the message that is first in a destination's queue; none while another is under way."""
    row = tx.row(
        """
        SELECT control_id FROM message m WHERE destination = :name AND sent_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM job WHERE kind = 'transmit' AND subject = m.control_id)
            AND NOT EXISTS (SELECT 1 FROM job WHERE kind = 'transmit' AND target = :name AND state = 'ready')
            AND NOT EXISTS (SELECT 1 FROM job WHERE kind = 'transmit' AND target = :name AND state = 'running')
        ORDER BY id LIMIT 1
        """,
        {"name": destination},
    )
    return [NewJob("transmit", row["control_id"], destination)] if row else []


def find(tx: Tx, control_id: str) -> Outgoing | None:
    row = tx.row("SELECT * FROM message WHERE control_id = ?", (control_id,))
    return outgoing(row) if row else None


def outgoing(row: Row) -> Outgoing:
    """A row of the table."""
    return Outgoing(**{name: row[name] for name in Outgoing.__slots__})


def overtaken(tx: Tx, control_id: str) -> bool:
    """Whether a later message of the same kind about the same study was sent to the same destination."""
    row = tx.row(
        """
        SELECT 1 FROM message m JOIN message n USING (destination, study_instance_uid, kind)
        WHERE m.control_id = ? AND n.id > m.id AND n.sent_at IS NOT NULL LIMIT 1
        """,
        (control_id,),
    )
    return row is not None


def answered(tx: Tx, control_id: str, answer: str, said: str) -> None:
    """What the RIS answered last: AA, AE or AR, and its words."""
    tx.execute("UPDATE message SET answer = ?, said = ? WHERE control_id = ?", (answer, said or None, control_id))


def sent(tx: Tx, control_id: str, now: float) -> None:
    tx.execute("UPDATE message SET sent_at = ? WHERE control_id = ?", (now, control_id))


def call_off(tx: Tx, study: str, code: str, reason: str, now: float) -> list[NewJob]:
    """What has not been sent of a study is not sent any more; the jobs of what stood behind it.

    What takes a result back is sent all the same.
    """
    waiting = tx.rows(
        "SELECT control_id, destination FROM message WHERE study_instance_uid = ? AND sent_at IS NULL "
        "AND about NOT LIKE ? || '%'",
        (study, RETRACTION),
    )
    for row in waiting:
        skip(tx, NewJob("transmit", row["control_id"], row["destination"]), code, reason, now)
    return [job for name in {row["destination"] for row in waiting} for job in next_up(tx, name)]


def skip(tx: Tx, job: NewJob, code: str, reason: str, now: float) -> None:
    """The message of a job is not sent."""
    tx.execute(
        """
        INSERT INTO job (kind, subject, target, state, error_code, error, changed_at)
        VALUES ('transmit', ?, ?, 'skipped', ?, ?, ?)
        ON CONFLICT (kind, subject, target) DO UPDATE SET state = 'skipped', error_code = excluded.error_code,
            error = excluded.error, owner = NULL, lease_token = NULL, lease_until = NULL,
            changed_at = excluded.changed_at
        """,
        (job.subject, job.target, code, reason, now),
    )


def resume(tx: Tx, study: str, code: str) -> list[NewJob]:
    """What was called off of a study under a code is sent after all; the jobs of what is first in a queue."""
    unsent = """
        kind = 'transmit' AND state = 'skipped' AND error_code = ? AND subject IN (
            SELECT control_id FROM message WHERE study_instance_uid = ? AND sent_at IS NULL)
    """
    rows = tx.rows(f"SELECT DISTINCT target FROM job WHERE {unsent}", (code, study))  # noqa: S608 - a constant
    tx.execute(f"DELETE FROM job WHERE {unsent}", (code, study))  # noqa: S608
    return [job for row in rows for job in next_up(tx, row["target"])]


def priority_told(tx: Tx, study: str) -> set[str]:
    """The priorities of a study that were asked for, as codes of table 0485."""
    rows = tx.rows(
        """
        SELECT about FROM message m JOIN job j ON j.kind = 'transmit' AND j.subject = m.control_id AND j.attempt > 0
        WHERE m.study_instance_uid = ? AND m.kind != 'ORU^R01'
        """,
        (study,),
    )
    return {str(row["about"]) for row in rows}


def of_study(tx: Tx, study: str) -> list[dict[str, Any]]:
    """Messages as `study --json` shows them."""
    rows = tx.rows(
        """
        SELECT m.*, j.state, j.attempt, j.error, j.error_message FROM message m
        LEFT JOIN job j ON j.kind = 'transmit' AND j.subject = m.control_id AND j.target = m.destination
        WHERE m.study_instance_uid = ? ORDER BY m.id
        """,
        (study,),
    )
    return [
        {
            "destination": row["destination"],
            "message": row["kind"],
            "about": row["about"],
            "control_id": row["control_id"],
            "state": _state(row),
            "attempts": row["attempt"] or 0,
            "error": None if row["sent_at"] else told(row["error"], row["error_message"]),
            "answer": row["answer"],
            "said": row["said"],
            "written_at": row["written_at"],
            "sent_at": row["sent_at"],
        }
        for row in rows
    ]


def _state(row: Row) -> str:
    """`row` is a message with the state of its job, which it may not have yet."""
    if row["sent_at"]:
        return "sent"
    return "failed" if row["state"] in ("failed", "skipped") else "pending"


def pending_by_destination(tx: Tx) -> dict[str, int]:
    """How many messages wait for each destination, those that are held among them."""
    rows = tx.rows("SELECT destination, count(*) AS n FROM message WHERE sent_at IS NULL GROUP BY destination")
    return {row["destination"]: row["n"] for row in rows}


def study_of(tx: Tx, control_id: str) -> str | None:
    """The study that a message is about."""
    found = find(tx, control_id)
    return found.study_instance_uid if found else None
