"""What models said, and the documents and deliveries that came of it."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from cxr_node.domain.finding import Analysis, ModelIdentity, Term, Terms
from cxr_node.domain.outputs import Target
from cxr_node.store.db import Row, Tx
from cxr_node.store.kept import keep, told
from cxr_node.store.served import FURTHER, SERVED

_WARNINGS = {
    0x0111: "the peer had it already",
    0xB000: "stored with coercion of data elements",
    0xB006: "stored with elements discarded",
    0xB007: "stored, although the data set does not match its SOP class",
}


def save(tx: Tx, digest: str, analysis: Analysis, analysed_at: float) -> None:
    """Store a judgement; judging the same film with the same model again replaces it."""
    model = analysis.model
    tx.execute(
        "INSERT OR REPLACE INTO result (instance_digest, model_digest, model, version, finding, probability, "
        "probabilities, activation, explanation, terms, logits, calibration, analysed_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            digest, model.digest, model.name, model.version, analysis.finding, analysis.probability,
            json.dumps(analysis.probabilities), json.dumps(analysis.activation), analysis.explanation,
            json.dumps(asdict(analysis.terms)), json.dumps(analysis.logits), analysis.calibration, analysed_at,
        ),
    )  # fmt: skip


def load(tx: Tx, digest: str, model_digest: str) -> Analysis | None:
    row = tx.row("SELECT * FROM result WHERE instance_digest = ? AND model_digest = ?", (digest, model_digest))
    return _analysis(row) if row else None


def load_served(tx: Tx, digest: str, model_digest: str) -> Analysis | None:
    """The same, of a model that was in service for the film; None for what it said beside another one."""
    row = tx.row(
        f"SELECT * FROM result r WHERE instance_digest = ? AND model_digest = ? AND {SERVED}",  # noqa: S608 - a constant condition
        (digest, model_digest),
    )
    return _analysis(row) if row else None


def has_any(tx: Tx, digest: str) -> bool:
    """Whether a model has judged a film, in service or beside."""
    return tx.row("SELECT 1 FROM result WHERE instance_digest = ?", (digest,)) is not None


def analysed_at(tx: Tx, digest: str, model_digest: str) -> float | None:
    """When a film was judged by a model, seconds since 1970 UTC."""
    row = tx.row(
        "SELECT analysed_at FROM result WHERE instance_digest = ? AND model_digest = ?", (digest, model_digest)
    )
    return row["analysed_at"] if row else None


def of_study(tx: Tx, study: str) -> list[dict[str, Any]]:
    """Results as `study --json` shows them."""
    rows = tx.rows(
        f"SELECT r.*, i.sop_instance_uid, a.gate, a.version AS gate_version, a.reading, a.flags, "  # noqa: S608 - constant conditions
        f"CASE WHEN {SERVED} THEN 'service' WHEN {FURTHER} THEN 'further' ELSE 'shadow' END AS role "
        "FROM result r JOIN instance i ON i.digest = r.instance_digest "
        "LEFT JOIN assessment a ON a.instance_digest = r.instance_digest WHERE i.study_instance_uid = ? ORDER BY r.id",
        (study,),
    )
    return [
        {
            "sop_instance_uid": row["sop_instance_uid"],
            "model": row["model"],
            "version": row["version"],
            "role": row["role"],
            "shadow": row["role"] == "shadow",
            "finding": row["finding"],
            "probability": row["probability"],
            "probabilities": json.loads(row["probabilities"]),
            "calibration": row["calibration"] or None,
            "quality": _quality(row),
            "analysed_at": row["analysed_at"],
        }
        for row in rows
    ]


def _quality(row: Row) -> dict[str, Any] | None:
    """What the gate said of the film; None where none looked at it."""
    if row["gate"] is None:
        return None
    said = json.loads(row["reading"])
    return {"gate": row["gate"], "version": row["gate_version"], "flags": json.loads(row["flags"]), **said}


def _analysis(row: Row) -> Analysis:
    return Analysis(
        model=ModelIdentity(row["model"], row["version"], row["model_digest"]),
        finding=row["finding"],
        probability=row["probability"],
        probabilities=json.loads(row["probabilities"]),
        activation=tuple(tuple(line) for line in json.loads(row["activation"])),
        explanation=row["explanation"],
        terms=_terms(json.loads(row["terms"])),
        logits=tuple(json.loads(row["logits"])),
        calibration=row["calibration"],
    )


def _terms(kept: dict[str, Any]) -> Terms:
    codes = {name: Term(**code) for name, code in kept["codes"].items()}
    return Terms(tuple(kept["kinds"]), tuple(kept["others"]), codes)


@dataclass(frozen=True, slots=True)
class Written:
    """A document in the outbox. `path` is relative to the spool; `mode` is the one it was rendered for."""

    sop_instance_uid: str
    study_instance_uid: str
    revision: int
    mode: str
    kind: str
    sop_class_uid: str
    series_instance_uid: str
    path: str


def add_document(tx: Tx, written: Written, written_at: float) -> None:
    """Record a document; writing the same one again changes nothing."""
    tx.execute(
        "INSERT OR IGNORE INTO document (sop_instance_uid, study_instance_uid, revision, mode, kind, sop_class_uid, "
        "series_instance_uid, path, written_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            written.sop_instance_uid, written.study_instance_uid, written.revision, written.mode, written.kind,
            written.sop_class_uid, written.series_instance_uid, written.path, written_at,
        ),
    )  # fmt: skip


def document(tx: Tx, sop_instance_uid: str) -> Written | None:
    row = tx.row("SELECT * FROM document WHERE sop_instance_uid = ?", (sop_instance_uid,))
    return _written(row) if row else None


def documents(tx: Tx, study: str) -> list[Written]:
    return [
        _written(row)
        for row in tx.rows(
            "SELECT * FROM document WHERE study_instance_uid = ? ORDER BY revision, written_at", (study,)
        )
    ]


def _written(row: Row) -> Written:
    return Written(**{name: row[name] for name in Written.__slots__})


def add_delivery(tx: Tx, sop_instance_uid: str, destination: str) -> None:
    tx.execute(
        "INSERT OR IGNORE INTO delivery (sop_instance_uid, destination) VALUES (?, ?)", (sop_instance_uid, destination)
    )


def drop_delivery(tx: Tx, sop_instance_uid: str, destination: str) -> None:
    """The destination does not get this document; it gets another one instead."""
    tx.execute("DELETE FROM delivery WHERE sop_instance_uid = ? AND destination = ?", (sop_instance_uid, destination))


def all_sent(tx: Tx, study: str, target: Target) -> bool:
    """Whether the destination of `target` has got every document of its revision and mode, and none is being made.

    A report in another class for another destination is none of its documents.
    """
    known = {"study": study, "revision": target.revision, "mode": target.mode, "destination": target.destination}
    made = f"{target.revision}/{target.mode}"
    row = tx.row(
        """
        SELECT count(*) AS documents, count(*) FILTER (WHERE d.sent_at IS NULL) AS unsent,
            EXISTS (SELECT 1 FROM job WHERE kind IN ('report', 'heatmap', 'companions') AND subject = :study
                AND state IN ('ready', 'running') AND (target = :made OR target GLOB :own)) AS open
        FROM document w JOIN delivery d USING (sop_instance_uid)
        WHERE w.study_instance_uid = :study AND w.revision = :revision AND w.mode = :mode
            AND d.destination = :destination AND w.kind != 'rn'
        """,
        known | {"made": made, "own": f"{made}/*/{target.destination}"},
    )
    return row is not None and row["documents"] > 0 and not row["unsent"] and not row["open"]


def sent(tx: Tx, study: str, revision: int, mode: str, destination: str) -> list[Written]:
    """What a destination has got of a revision."""
    rows = tx.rows(
        "SELECT w.* FROM document w JOIN delivery d USING (sop_instance_uid) WHERE w.study_instance_uid = ? "
        "AND w.revision = ? AND w.mode = ? AND d.destination = ? AND d.sent_at IS NOT NULL "
        "ORDER BY w.written_at, w.kind",
        (study, revision, mode, destination),
    )
    return [_written(row) for row in rows]


def delivered(tx: Tx, sop_instance_uid: str, destination: str, sent_at: float, status: int) -> None:
    """The peer acknowledged the document with `status` (success or a warning, PS3.4 B.2.3); it may keep it or not."""
    tx.execute(
        "UPDATE delivery SET sent_at = ?, status = ?, transaction_uid = NULL, asked_at = NULL, unanswered = 0, "
        "failure = NULL WHERE sop_instance_uid = ? AND destination = ?",
        (sent_at, status, sop_instance_uid, destination),
    )


def deliveries(tx: Tx, study: str) -> list[dict[str, Any]]:
    """Deliveries as `study --json` shows them; whether one is pending or failed stands in its jobs."""
    rows = tx.rows(
        """
        SELECT d.*, w.kind, w.revision, j.state, j.attempt, coalesce(c.error, j.error) AS error,
            CASE WHEN c.error IS NULL THEN j.error_message ELSE c.error_message END AS error_message,
            c.state AS commitment FROM delivery d
        JOIN document w ON w.sop_instance_uid = d.sop_instance_uid
        LEFT JOIN job j ON j.kind = 'deliver' AND j.subject = d.sop_instance_uid AND j.target = d.destination
        LEFT JOIN job c ON c.kind = 'commit' AND c.subject = d.sop_instance_uid AND c.target = d.destination
        WHERE w.study_instance_uid = ? ORDER BY w.revision, w.written_at, d.destination
        """,
        (study,),
    )
    return [
        {
            "destination": row["destination"],
            "sop_instance_uid": row["sop_instance_uid"],
            "kind": row["kind"],
            "revision": row["revision"],
            "state": _state(row),
            "status": row["status"],
            "warning": _warning(row["status"]),
            "attempts": row["attempt"] or 0,
            "error": told(row["error"], row["error_message"]),
            "sent_at": row["sent_at"],
            "rejected_by": row["rejected_by"],
            "confirmed_by": row["confirmed_by"],
            "confirmed_at": row["confirmed_at"],
        }
        for row in rows
    ]


def _state(row: Row) -> str:
    """`row` is a delivery with the state of its `deliver` job, and of its `commit` job as `commitment`."""
    if row["confirmed_by"] == "commitment":
        return "committed"
    if row["commitment"] == "failed":
        return "failed"
    if row["sent_at"]:
        return "sent"
    return "failed" if row["state"] in ("failed", "skipped") else "pending"


def _warning(status: int | None) -> str | None:
    """What a status that is no plain success means (PS3.4 table B.2-1, PS3.7 C.5.7)."""
    return f"{_WARNINGS.get(status, 'stored with a warning')} (0x{status:04X})" if status else None


def call_off(tx: Tx, study: str, code: str, reason: str, now: float) -> int:
    """A study's documents that have not left are not written and not sent any more; how many jobs there were.

    Those that have left are not sent again, either, whatever the destination says of them. Notes that reject are no
    such documents.
    """
    skip = """
        UPDATE job SET state = 'skipped', error_code = ?, error = ?, error_message = ?,
            owner = NULL, lease_token = NULL, lease_until = NULL, changed_at = ?
        WHERE state IN ('ready', 'running', 'failed') AND
    """
    of_study = "subject IN (SELECT sop_instance_uid FROM document WHERE study_instance_uid = ? AND kind != 'rn')"
    tx.execute(f"{skip} kind = 'commit' AND {of_study}", (code, reason, keep(reason), now, study))
    return tx.execute(
        f"{skip} (kind IN ('report', 'heatmap', 'companions', 'key_objects', 'announce') AND subject = ? "
        f"OR kind = 'deliver' AND {of_study})",
        (code, reason, keep(reason), now, study, study),
    )


def delivered_count(tx: Tx, study: str) -> int:
    """How many deliveries of a study's documents have left."""
    row = tx.row(
        "SELECT count(*) AS n FROM delivery JOIN document USING (sop_instance_uid) "
        "WHERE study_instance_uid = ? AND sent_at IS NOT NULL",
        (study,),
    )
    return int(row["n"]) if row else 0


def pending_by_destination(tx: Tx) -> dict[str, int]:
    rows = tx.rows("SELECT destination, count(*) AS n FROM delivery WHERE sent_at IS NULL GROUP BY destination")
    return {row["destination"]: row["n"] for row in rows}
