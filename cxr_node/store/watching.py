"""What is known of films for those who watch a model: where they came from, what became of them, and the truth."""

import json
from dataclasses import dataclass

from cxr_node.domain.instance import InstanceState
from cxr_node.store import events
from cxr_node.store.db import Row, Tx


@dataclass(frozen=True, slots=True)
class Seen:
    """A film in use: its machine, when it was received (seconds since 1970 UTC), and what became of it under a model.

    `refused`: by its header, or by the gate. `seconds` from receipt to result. `unusual`: the gate flagged it as
    unlike the films that it knows.
    """

    machine: str
    received_at: float
    refused: bool
    probability: float | None
    seconds: float | None
    mean: float | None
    deviation: float | None
    unusual: bool


def films(tx: Tx, model_digest: str, since: float, until: float) -> list[Seen]:
    """The films that came between two times, in the order of receipt."""
    rows = tx.rows(
        """
        SELECT i.machine, i.received_at, r.probability, r.analysed_at, m.mean, m.deviation, a.flags,
            i.refusal_code IS NOT NULL OR coalesce(j.state = 'skipped', 0) AS refused
        FROM instance i
        LEFT JOIN result r ON r.instance_digest = i.digest AND r.model_digest = :model
        LEFT JOIN job j ON j.kind = 'analyse' AND j.subject = i.digest AND j.target = :model
        LEFT JOIN film_measure m ON m.instance_digest = i.digest
        LEFT JOIN assessment a ON a.instance_digest = i.digest
        WHERE i.received_at >= :since AND i.received_at < :until AND i.state = :current ORDER BY i.received_at, i.id
        """,
        {"model": model_digest, "since": since, "until": until, "current": InstanceState.CURRENT},
    )
    return [_seen(row) for row in rows]


def began(tx: Tx, model_digest: str) -> float | None:
    """When the first film came that a model has judged, or when a person said that its reference begins anew."""
    row = tx.row("SELECT value FROM setting WHERE name = ?", (_reference(model_digest),))
    if row is not None:
        return float(row["value"])
    row = tx.row(
        "SELECT min(i.received_at) AS first FROM result r JOIN instance i ON i.digest = r.instance_digest "
        "WHERE r.model_digest = ?",
        (model_digest,),
    )
    return float(row["first"]) if row and row["first"] is not None else None


def begin_anew(tx: Tx, model_digest: str, at: float, *, by: str, reason: str, now: float) -> None:
    """From `at` on is what a model is compared with."""
    tx.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (_reference(model_digest), repr(at)))
    events.append(tx, now, "drift.accepted", None, by=by, reason=reason, model=model_digest)


def _reference(model_digest: str) -> str:
    return f"drift_reference {model_digest}"


def label(tx: Tx, study: str, positive: bool, by: str, now: float) -> None:
    """Say what the final report of a study says of what the model finds; a later word replaces an earlier one."""
    events.append(tx, now, "study.labelled", study, positive=positive, by=by)
    tx.execute(
        "INSERT OR REPLACE INTO truth (study_instance_uid, positive, said_by, said_at) VALUES (?, ?, ?, ?)",
        (study, positive, by, now),
    )


@dataclass(frozen=True, slots=True)
class Labelled:
    """A study whose truth is known, the highest probability of its films under a model, and when the first came."""

    received_at: float
    machine: str
    probability: float
    positive: bool


def labelled(tx: Tx, model_digest: str, since: float, until: float) -> list[Labelled]:
    """The studies that came between two times, were judged by a model, and of which somebody said the truth."""
    rows = tx.rows(
        """
        SELECT min(i.received_at) AS received_at, min(i.machine) AS machine, max(r.probability) AS probability,
            t.positive
        FROM truth t JOIN instance i ON i.study_instance_uid = t.study_instance_uid AND i.state = :current
        JOIN result r ON r.instance_digest = i.digest AND r.model_digest = :model
        GROUP BY t.study_instance_uid HAVING min(i.received_at) >= :since AND min(i.received_at) < :until
        """,
        {"model": model_digest, "since": since, "until": until, "current": InstanceState.CURRENT},
    )
    return [
        Labelled(row["received_at"], row["machine"], float(row["probability"]), bool(row["positive"])) for row in rows
    ]


def _seen(row: Row) -> Seen:
    judged = row["probability"] is not None
    return Seen(
        row["machine"],
        float(row["received_at"]),
        bool(row["refused"]),
        row["probability"],
        row["analysed_at"] - row["received_at"] if judged else None,
        row["mean"],
        row["deviation"],
        "unusual" in (json.loads(row["flags"]) if row["flags"] else ()),
    )
