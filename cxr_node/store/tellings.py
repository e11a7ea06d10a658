"""Which results of a study the RIS has been told, or may have been, and which it is told do not stand."""

from cxr_node.domain.job import JobState, NewJob
from cxr_node.store import messages
from cxr_node.store.db import Row, Tx
from cxr_node.store.messages import RESULT, RETRACTION, Outgoing


def tried(tx: Tx, control_id: str, now: float) -> bool:
    """The RIS is about to be sent a message: from now on it may have it; whether that is so only now."""
    changed = tx.execute("UPDATE message SET tried_at = ? WHERE control_id = ? AND tried_at IS NULL", (now, control_id))
    return changed == 1


def not_taken(tx: Tx, control_id: str) -> None:
    """It is known that it has not."""
    tx.execute("UPDATE message SET tried_at = NULL WHERE control_id = ?", (control_id,))


def standing(tx: Tx, study: str) -> dict[str, Outgoing]:
    """By destination: the result that it has, or may have, and is not told, or about to be, that it does not stand."""
    rows = _newest(tx, study, waiting=True)
    return {row["destination"]: messages.outgoing(row) for row in rows if not _retracts(row)}


def retracted(tx: Tx, study: str) -> dict[str, float]:
    """The destinations that were told, or may have been, that the result does not stand; since when (1970 UTC)."""
    rows = _newest(tx, study, waiting=False)
    return {row["destination"]: float(row["written_at"]) for row in rows if _retracts(row)}


def named(tx: Tx, study: str, destination: str, about: str) -> str:
    """What a message is to tell of, with a number where another one told of the same before."""
    row = tx.row(
        "SELECT count(*) AS n FROM message WHERE study_instance_uid = ? AND destination = ? AND kind = ? "
        "AND (about = ? OR about LIKE ? || ' (%')",
        (study, destination, RESULT, about, about),
    )
    count = int(row["n"]) if row else 0
    return f"{about} ({count + 1})" if count else about


def forget_retractions(tx: Tx, study: str, reason: str, now: float) -> None:
    """The study stands again: what would have taken its result back, and has not left, does not leave."""
    for row in _rows(tx, study):
        if _retracts(row) and row["sent_at"] is None and row["tried_at"] is None:
            messages.skip(tx, NewJob("transmit", row["control_id"], row["destination"]), "SUPERSEDED", reason, now)


def _newest(tx: Tx, study: str, *, waiting: bool) -> list[Row]:
    """Of each destination what it was told last; with `waiting` what it is to be told counts, too."""
    found: dict[str, Row] = {}
    for row in _rows(tx, study):
        told = row["sent_at"] is not None or row["tried_at"] is not None
        if told or (waiting and _retracts(row) and row["state"] != JobState.SKIPPED):
            found[row["destination"]] = row
    return list(found.values())


def _rows(tx: Tx, study: str) -> list[Row]:
    return tx.rows(
        """
        SELECT m.*, j.state FROM message m LEFT JOIN job j ON j.kind = 'transmit' AND j.subject = m.control_id
        WHERE m.study_instance_uid = ? AND m.kind = ? ORDER BY m.id
        """,
        (study, RESULT),
    )


def _retracts(row: Row) -> bool:
    return str(row["about"]).startswith(RETRACTION)
