"""What the RIS has said: of which studies, kept for films that come later, and which messages were answered."""

import json

from cxr_node.domain.instance import InstanceState
from cxr_node.domain.order import Notice, Said, of_patient, ordered
from cxr_node.domain.patient import Identifier
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor
from cxr_node.store import events, identities, worklist
from cxr_node.store.db import Row, Tx

_KEPT_SECONDS = 30 * 86_400.0
_REMEMBERED_SECONDS = 7 * 86_400.0


def is_answered(tx: Tx, notice: Notice, digest: str) -> bool:
    """Whether these very bytes of a message were taken before."""
    row = tx.row(
        "SELECT digest FROM answered_message WHERE sender = ? AND control_id = ?", (notice.sender, notice.control_id)
    )
    return row is not None and row["digest"] == digest


def remember(tx: Tx, notice: Notice, digest: str, now: float) -> None:
    """A message was taken; what was taken a week ago is forgotten."""
    tx.execute(
        "INSERT OR REPLACE INTO answered_message VALUES (?, ?, ?, ?)", (notice.sender, notice.control_id, digest, now)
    )
    tx.execute("DELETE FROM answered_message WHERE answered_at < ?", (now - _REMEMBERED_SECONDS,))


def studies_meant(tx: Tx, said: Said) -> list[str]:
    """The studies that are here of an order: by UID, else by a film's accession number, and of no other patient.

    Those of the sites of a hub are not here: their own RIS speaks of them, to them.
    """
    return _of_patient(_named(tx, said), said)


def studies_named(tx: Tx, said: Said) -> list[str]:
    """The same, whosever they are."""
    return [str(row["study_instance_uid"]) for row in _named(tx, said)]


def _named(tx: Tx, said: Said) -> list[Row]:
    if said.study_instance_uid:
        by_uid = tx.rows(
            "SELECT * FROM worklist_entry WHERE study_instance_uid = ? AND site IS NULL", (said.study_instance_uid,)
        )
        if by_uid:
            return by_uid
    if not said.accession:
        return []
    return tx.rows(
        """
        SELECT * FROM worklist_entry WHERE accession_number = :accession AND site IS NULL
        UNION SELECT w.* FROM instance i JOIN worklist_entry w USING (study_instance_uid)
        WHERE json_extract(i.header, '$.accession_number') = :accession AND i.state = :current
            AND json_extract(w.identity, '$.AccessionNumber') IS NULL
        """,
        {"accession": said.accession, "current": InstanceState.CURRENT},
    )


def _of_patient(rows: list[Row], said: Said) -> list[str]:
    return [str(row["study_instance_uid"]) for row in rows if of_patient(said.patients, _patient(row))]


def _patient(row: Row) -> Identifier | None:
    return Identifier(row["patient_id"], row["issuer_of_patient_id"] or "") if row["patient_id"] else None


def keep(tx: Tx, sender: str, said: Said, now: float) -> None:
    """Keep the priority of an order for films that come later, in the place of what it said before; drop old ones."""
    patients = json.dumps([[one.value, one.authority] for one in said.patients])
    tx.execute(
        """
        INSERT INTO kept_order (sender, accession_number, study_instance_uid, patients, priority, kept_at)
        VALUES (:sender, :accession, :study, :patients, :priority, :now)
        ON CONFLICT (sender, accession_number, study_instance_uid) DO UPDATE SET
            patients = excluded.patients, kept_at = excluded.kept_at, priority = excluded.priority
        """,
        {
            "sender": sender, "accession": said.accession, "study": said.study_instance_uid, "patients": patients,
            "priority": said.priority, "now": now,
        },
    )  # fmt: skip
    tx.execute("DELETE FROM kept_order WHERE kept_at < ?", (now - _KEPT_SECONDS,))


def drop(tx: Tx, sender: str, said: Said) -> None:
    """An order is cancelled: films that come all the same get no priority of it."""
    tx.execute(
        "DELETE FROM kept_order WHERE sender = ? AND accession_number = ? AND study_instance_uid = ?",
        (sender, said.accession, said.study_instance_uid),
    )


def prioritise(tx: Tx, study: str, priority: Priority, sender: str, now: float) -> None:
    """The RIS says how urgent a study is: it may change what it said before, and only raise what a person has said."""
    row = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    assert row is not None  # noqa: S101 - it was found in this transaction
    stands, before = (Priority(row[name]) if row[name] else None for name in ("priority", "ordered"))
    after = ordered(stands, before, priority)
    tx.execute(
        "UPDATE worklist_entry SET priority = ?, ordered = ? WHERE study_instance_uid = ?", (after, priority, study)
    )
    worklist.record_move(tx, row, now, "order", Actor(sender), priority=after)


def film_came(tx: Tx, study: str, now: float) -> None:
    """Give a study the priority of the order that was kept for it, once."""
    row = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    if row is None or row["ordered"]:
        return
    accessions = identities.accessions(tx, study) | {row["accession_number"] or ""}
    kept = tx.rows(
        """
        SELECT * FROM kept_order WHERE priority IS NOT NULL AND (study_instance_uid = :study
            OR (accession_number IN (SELECT value FROM json_each(:accessions)) AND accession_number != ''))
        ORDER BY kept_at DESC, id DESC
        """,
        {"study": study, "accessions": json.dumps(sorted(accessions))},
    )
    for each in kept:
        if of_patient(tuple(Identifier(*one) for one in json.loads(each["patients"])), _patient(row)):
            events.append(tx, now, "order.applied", study, sender=each["sender"], priority=each["priority"])
            prioritise(tx, study, Priority(each["priority"]), each["sender"], now)
            return
