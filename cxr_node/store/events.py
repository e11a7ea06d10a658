"""The one audit trail: append-only, each row sealed with the hash of the row before it."""

import hashlib
import json
from typing import Any

from cxr_node.message import Message
from cxr_node.store.db import Row, Tx


def append(tx: Tx, now: float, event: str, study: str | None = None, **detail: Any) -> None:
    """Record `event` (noun.verb) for a study; `detail` must hold JSON values.

    Of values that are messages, or mappings that have some, the English stands there, and under `messages` what they
    were made from.
    """
    if told := {name: made for name, value in detail.items() if (made := _made_from(value))}:
        detail["messages"] = told
    last = tx.row("SELECT hash FROM event ORDER BY sequence DESC LIMIT 1")
    text = json.dumps(detail, sort_keys=True, ensure_ascii=False)
    seal = seal_of(last["hash"] if last else "", now, study, event, text)
    tx.execute(
        "INSERT INTO event (time, study_instance_uid, event, detail, hash) VALUES (?, ?, ?, ?, ?)",
        (now, study, event, text, seal),
    )


def page(tx: Tx, after: int, limit: int) -> list[Row]:
    """The next rows of the trail after sequence number `after`."""
    return tx.rows("SELECT * FROM event WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit))


def last_before(tx: Tx, time: float) -> int:
    """The sequence number of the last event before the first one at `time` or later; 0 where there is none."""
    row = tx.row("SELECT min(sequence) - 1 AS n FROM event WHERE time >= ?", (time,))
    last = tx.row("SELECT max(sequence) AS n FROM event")
    found = row["n"] if row and row["n"] is not None else last["n"] if last else 0
    return int(found or 0)


def of_study(tx: Tx, study: str) -> list[dict[str, Any]]:
    rows = tx.rows("SELECT time, event, detail FROM event WHERE study_instance_uid = ? ORDER BY sequence", (study,))
    return [{"time": row["time"], "event": row["event"], **_detail(row)} for row in rows]


def latest(tx: Tx, prefix: str) -> dict[str, Any] | None:
    """The newest event whose name begins with `prefix`."""
    row = tx.row(
        "SELECT time, event, detail FROM event WHERE event >= ? AND event < ? ORDER BY sequence DESC LIMIT 1",
        (prefix, prefix + "\x7f"),
    )
    return {"time": row["time"], "event": row["event"], **_detail(row)} if row else None


def last(tx: Tx) -> int:
    """The sequence number of the newest event; 0 where there is none."""
    row = tx.row("SELECT max(sequence) AS n FROM event")
    return int(row["n"] or 0) if row else 0


def studies_since(tx: Tx, after: int) -> set[str]:
    """The studies of the events after a sequence number."""
    rows = tx.rows("SELECT DISTINCT study_instance_uid AS study FROM event WHERE sequence > ?", (after,))
    return {row["study"] for row in rows} - {None}


def named_since(tx: Tx, name: str, time: float) -> list[dict[str, Any]]:
    """The details of the events of a name from `time` on."""
    rows = tx.rows("SELECT detail FROM event WHERE event = ? AND time >= ? ORDER BY sequence", (name, time))
    return [_detail(row) for row in rows]


def counts(tx: Tx, after: int, through: int) -> dict[str, int]:
    """How many events of each name there are after one sequence number and up to another."""
    rows = tx.rows(
        "SELECT event, count(*) AS n FROM event WHERE sequence > ? AND sequence <= ? GROUP BY event", (after, through)
    )
    return {row["event"]: row["n"] for row in rows}


def _detail(row: Row) -> dict[str, Any]:
    """The detail of an event, its messages as they were given."""
    found: dict[str, Any] = json.loads(row["detail"])
    for name, kept in found.pop("messages", {}).items():
        if isinstance(kept, dict):
            found[name] |= {key: Message.from_json(each) for key, each in kept.items()}
        else:
            found[name] = Message.from_json(kept)
    return found


def _made_from(value: object) -> list[Any] | dict[str, Any] | None:
    """What messages were made from; None where there are none."""
    if isinstance(value, dict):
        return {key: each.to_json() for key, each in value.items() if isinstance(each, Message)}
    return value.to_json() if isinstance(value, Message) else None


def seal_of(previous: str, time: float, study: str | None, event: str, detail: str) -> str:
    """The hash of a row whose predecessor has the hash `previous`."""
    return hashlib.sha256(json.dumps([previous, time, study, event, detail]).encode()).hexdigest()
