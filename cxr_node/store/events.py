"""The one audit trail: append-only, each row sealed with the hash of the row before it."""

import hashlib
import json
from typing import Any

from cxr_node.store.db import Tx


def append(tx: Tx, now: float, event: str, study: str | None = None, **detail: Any) -> None:
    """Record `event` (noun.verb) for a study; `detail` must hold JSON values."""
    last = tx.row("SELECT hash FROM event ORDER BY sequence DESC LIMIT 1")
    text = json.dumps(detail, sort_keys=True, ensure_ascii=False)
    seal = _seal(last["hash"] if last else "", now, study, event, text)
    tx.execute(
        "INSERT INTO event (time, study_instance_uid, event, detail, hash) VALUES (?, ?, ?, ?, ?)",
        (now, study, event, text, seal),
    )


def of_study(tx: Tx, study: str) -> list[dict[str, Any]]:
    rows = tx.rows("SELECT time, event, detail FROM event WHERE study_instance_uid = ? ORDER BY sequence", (study,))
    return [{"time": row["time"], "event": row["event"], **json.loads(row["detail"])} for row in rows]


def latest(tx: Tx, prefix: str) -> dict[str, Any] | None:
    """The newest event whose name begins with `prefix`."""
    row = tx.row(
        "SELECT time, event, detail FROM event WHERE event >= ? AND event < ? ORDER BY sequence DESC LIMIT 1",
        (prefix, prefix + "\x7f"),
    )
    return {"time": row["time"], "event": row["event"], **json.loads(row["detail"])} if row else None


def first_broken(tx: Tx) -> int | None:
    """The sequence number of the first row whose seal does not fit, or None when the whole trail is intact."""
    previous = ""
    for row in tx.rows("SELECT * FROM event ORDER BY sequence"):
        if row["hash"] != _seal(previous, row["time"], row["study_instance_uid"], row["event"], row["detail"]):
            return int(row["sequence"])
        previous = row["hash"]
    return None


def _seal(previous: str, time: float, study: str | None, event: str, detail: str) -> str:
    return hashlib.sha256(json.dumps([previous, time, study, event, detail]).encode()).hexdigest()
