"""Storage commitment, both ways: what destinations said of our documents, and what X-ray machines ask of us."""

from collections.abc import Iterable
from dataclasses import dataclass

from cxr_node.domain.commitment import Outcome, Reason, Reference, Request
from cxr_node.domain.instance import InstanceState
from cxr_node.domain.step import Listed
from cxr_node.store.db import Row, Tx

_REMEMBERED_SECONDS = 30 * 86400.0  # a report on a request that is older than this is not known any more


@dataclass(frozen=True, slots=True)
class Sent:
    """A document at a destination. Times are seconds since 1970 UTC, None for not yet.

    `asked_at`: the newest request for commitment, unless that was given up; `unanswered`: how many were; `failure`:
    the Failure Reason that the newest report gave; `resent`: how often it was sent again.
    """

    reference: Reference
    kind: str
    destination: str
    sent_at: float | None
    resent: int
    asked_at: float | None
    unanswered: int
    failure: int | None


def sent(tx: Tx, sop_instance_uid: str, destination: str) -> Sent | None:
    row = tx.row(
        "SELECT * FROM delivery JOIN document USING (sop_instance_uid) WHERE sop_instance_uid = ? AND destination = ?",
        (sop_instance_uid, destination),
    )
    if row is None:
        return None
    keys = ("kind", "destination", "sent_at", "resent", "asked_at", "unanswered", "failure")
    return Sent(Reference(**{name: row[name] for name in Reference.__slots__}), **{key: row[key] for key in keys})


def begin(tx: Tx, transaction_uid: str, destination: str, documents: Iterable[str], now: float) -> None:
    """Put a request for commitment on record, before it is sent."""
    tx.execute("DELETE FROM commitment_transaction WHERE asked_at < ?", (now - _REMEMBERED_SECONDS,))
    tx.execute("INSERT INTO commitment_transaction VALUES (?, ?, ?)", (transaction_uid, destination, now))
    for document in documents:
        tx.execute(
            "UPDATE delivery SET transaction_uid = ?, asked_at = ? WHERE sop_instance_uid = ? AND destination = ?",
            (transaction_uid, now, document, destination),
        )


def give_up_waiting(tx: Tx, sop_instance_uid: str, destination: str) -> None:
    """No report on the newest request came in time. One that comes late is still taken."""
    tx.execute(
        "UPDATE delivery SET asked_at = NULL, unanswered = unanswered + 1 "
        "WHERE sop_instance_uid = ? AND destination = ?",
        (sop_instance_uid, destination),
    )


def destination_of(tx: Tx, transaction_uid: str) -> str | None:
    """Whom we asked under this Transaction UID; None when we did not."""
    row = tx.row("SELECT destination FROM commitment_transaction WHERE transaction_uid = ?", (transaction_uid,))
    return str(row["destination"]) if row else None


def confirm(tx: Tx, sop_instance_uid: str, destination: str, by: str, now: float) -> bool:
    """A destination has a document, as it says `by` "commitment" or "query"; whether that is new."""
    changed = tx.execute(
        """
        UPDATE delivery SET confirmed_by = ?, confirmed_at = ?, failure = NULL
        WHERE sop_instance_uid = ? AND destination = ? AND sent_at IS NOT NULL AND confirmed_by IS NOT 'commitment'
        """,
        (by, now, sop_instance_uid, destination),
    )
    return changed == 1


def refuse(tx: Tx, sop_instance_uid: str, destination: str, transaction_uid: str, failure: int) -> bool:
    """A destination does not commit to a document; whether that is news, and waited for."""
    changed = tx.execute(
        """
        UPDATE delivery SET failure = ? WHERE sop_instance_uid = ? AND destination = ? AND transaction_uid = ?
            AND failure IS NULL AND confirmed_by IS NULL AND EXISTS (SELECT 1 FROM job WHERE kind = 'commit'
                AND subject = sop_instance_uid AND target = destination AND state IN ('ready', 'running'))
        """,
        (failure, sop_instance_uid, destination, transaction_uid),
    )
    return changed == 1


def send_again(tx: Tx, sop_instance_uid: str, destination: str) -> None:
    """What the destination acknowledged does not count any more."""
    tx.execute(
        "UPDATE delivery SET sent_at = NULL, transaction_uid = NULL, resent = resent + 1 "
        "WHERE sop_instance_uid = ? AND destination = ?",
        (sop_instance_uid, destination),
    )


def forget_failures(tx: Tx, study: str | None) -> None:
    """An operator has mended what kept documents (of a study, or all) from being committed: begin to count anew."""
    tx.execute(
        """
        UPDATE delivery SET resent = 0, unanswered = 0 WHERE (sop_instance_uid, destination) IN (
            SELECT subject, target FROM job JOIN document ON subject = sop_instance_uid
            WHERE job.kind = 'commit' AND state = 'failed' AND ? IN ('', study_instance_uid))
        """,
        (study or "",),
    )


def open_by_destination(tx: Tx) -> dict[str, dict[str, int]]:
    """By destination: documents that it has been sent and has not committed to yet, and those it is overdue with."""
    rows = tx.rows(
        """
        SELECT d.destination, count(*) AS uncommitted, count(*) FILTER (WHERE d.unanswered > 0) AS overdue
        FROM job j JOIN delivery d ON d.sop_instance_uid = j.subject AND d.destination = j.target
        WHERE j.kind = 'commit' AND j.state IN ('ready', 'running') GROUP BY d.destination
        """
    )
    return {row["destination"]: {"uncommitted": row["uncommitted"], "overdue": row["overdue"]} for row in rows}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of an X-ray machine; `outcomes` has a place for each instance, None where that is open."""

    received_at: float
    references: tuple[Reference, ...]
    outcomes: tuple[Outcome | None, ...]


def add_request(tx: Tx, request: Request, now: float) -> None:
    """Record a request. One that is made again under the same Transaction UID replaces the first."""
    key = (request.requester, request.transaction_uid)
    tx.execute("DELETE FROM commitment_request WHERE requester = ? AND transaction_uid = ?", key)
    tx.execute("INSERT INTO commitment_request (requester, transaction_uid, received_at) VALUES (?, ?, ?)", (*key, now))
    for one in request.references:
        tx.execute(
            """
            INSERT OR REPLACE INTO commitment_reference (request, sop_instance_uid, sop_class_uid)
            SELECT id, ?, ? FROM commitment_request WHERE requester = ? AND transaction_uid = ?
            """,
            (one.sop_instance_uid, one.sop_class_uid, *key),
        )


def request(tx: Tx, requester: str, transaction_uid: str) -> Asked | None:
    rows = tx.rows(
        """
        SELECT q.received_at, r.*, i.study_instance_uid, json_extract(i.header, '$.series_instance_uid') AS series
        FROM commitment_request q JOIN commitment_reference r ON r.request = q.id
        LEFT JOIN instance i ON i.sop_instance_uid = r.sop_instance_uid AND i.state = ?
        WHERE q.requester = ? AND q.transaction_uid = ? GROUP BY r.sop_instance_uid
        """,
        (InstanceState.CURRENT, requester, transaction_uid),
    )
    if not rows:
        return None
    references = [
        Reference(row["sop_class_uid"], row["sop_instance_uid"], row["study_instance_uid"] or "", row["series"] or "")
        for row in rows
    ]
    outcomes = [_outcome(row, reference) for row, reference in zip(rows, references, strict=True)]
    return Asked(rows[0]["received_at"], tuple(references), tuple(outcomes))


def _outcome(row: Row, reference: Reference) -> Outcome | None:
    if row["failure"] is not None:
        return Outcome(reference, failure=Reason(row["failure"]))
    return Outcome(reference, row["retrieve_ae_title"]) if row["retrieve_ae_title"] else None


def conclude(tx: Tx, requester: str, transaction_uid: str, outcomes: Iterable[Outcome]) -> None:
    """Record what is known of instances of a request."""
    for one in outcomes:
        tx.execute(
            """
            UPDATE commitment_reference SET retrieve_ae_title = ?, failure = ?
            WHERE sop_instance_uid = ?
                AND request = (SELECT id FROM commitment_request WHERE requester = ? AND transaction_uid = ?)
            """,
            (one.retrieve_ae_title, one.failure, one.reference.sop_instance_uid, requester, transaction_uid),
        )


def answered(tx: Tx, requester: str, transaction_uid: str, now: float) -> None:
    """The X-ray machine has taken our report."""
    tx.execute(
        "UPDATE commitment_request SET answered_at = ? WHERE requester = ? AND transaction_uid = ?",
        (now, requester, transaction_uid),
    )


def studies(tx: Tx, requester: str, transaction_uid: str) -> list[str]:
    """The studies of what a request is about, as far as it is here."""
    asked = request(tx, requester, transaction_uid)
    named = (one.study_instance_uid for one in asked.references) if asked else ()
    return sorted({study for study in named if study})


def listed(tx: Tx, study: str) -> list[Listed]:
    """What X-ray machines list together with an instance of a study."""
    rows = tx.rows(
        """
        SELECT DISTINCT sop_class_uid, sop_instance_uid FROM commitment_reference WHERE request IN (
            SELECT request FROM commitment_reference JOIN instance USING (sop_instance_uid)
            WHERE study_instance_uid = ?)
        """,
        (study,),
    )
    return [Listed(**row) for row in rows]
