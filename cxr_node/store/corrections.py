"""What was said of studies and of films that takes them out of use: facts, each with who said it and when."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import astuple
from typing import Any

from cxr_node.domain.correction import Facts, Rejection, Spoken, Word, gravest
from cxr_node.domain.instance import InstanceState
from cxr_node.domain.order import Said, of_patient
from cxr_node.domain.patient import Identifier
from cxr_node.store import steps
from cxr_node.store.db import Row, Tx
from cxr_node.store.kept import keep, told

_KEPT_SECONDS = 30 * 86_400.0
_HERE = (InstanceState.CURRENT, InstanceState.REJECTED)


def say(
    tx: Tx, study: str, word: Word, source: str, now: float, *, at: float | None = None, order: str = "",
    reason: str = "", grounds: Collection[str] = (),
) -> None:  # fmt: skip
    """Record a word of a study that is here, as `Spoken` has it; it covers the films that are here now."""
    told_of = {"reason": reason, "message": json.loads(keep(reason) or "null"), "grounds": sorted(grounds)}
    detail, said_at = told_of | {"films": sorted(_films(tx, study))}, now if at is None else at
    add(tx, word, study, order, source=source, said_at=said_at, recorded_at=now, detail=detail)


def say_of_order(tx: Tx, study: str | None, word: Word, said: Said, source: str, *, now: float, at: float) -> None:
    """Record a word of an order: of a study that is here, or (None) for films that come later.

    What none came for is dropped.
    """
    patients = [[one.value, one.authority] for one in said.patients]
    planned = f"{said.day:%Y%m%d}" if said.day else ""
    detail: dict[str, Any] = {"patients": patients, "changes": said.changes, "day": planned}
    if said.procedure:
        detail["procedure"] = astuple(said.procedure)
    if study:
        detail["films"] = sorted(_films_of(tx, study, said.accession))
    named = {"message": said.study_instance_uid, "source": source, "said_at": at, "recorded_at": now}
    add(tx, word, study, said.accession, **named, detail=detail)
    _forget(tx, now)


def adopt(tx: Tx, study: str, accessions: Collection[str], patient: Identifier | None) -> bool:
    """What was said of the orders of a study when they were not known for its own is said of it; whether there is any.

    It covers the films of the order that were there when it was said.
    """
    rows = tx.rows(
        """
        SELECT * FROM correction WHERE study_instance_uid IS NULL AND kind IN (:cancelled, :ordered)
            AND subject != '' AND subject IN (SELECT value FROM json_each(:accessions))
        UNION SELECT * FROM correction WHERE study_instance_uid IS NULL AND kind IN (:cancelled, :ordered)
            AND message = :study ORDER BY id
        """,
        {
            "cancelled": Word.CANCELLED, "ordered": Word.ORDERED, "accessions": json.dumps(sorted(accessions)),
            "study": study,
        },
    )  # fmt: skip
    taken = tx.rows("SELECT detail FROM correction WHERE study_instance_uid = ?", (study,)) if rows else []
    known = {json.loads(row["detail"]).get("waited") for row in taken}
    found = False
    for row in rows:
        detail = json.loads(row["detail"])
        if row["id"] not in known and of_patient([Identifier(*one) for one in detail["patients"]], patient):
            said = {name: row[name] for name in ("message", "source", "said_at", "recorded_at")}
            covered = sorted(_films_of(tx, study, row["subject"], row["recorded_at"]))
            add(tx, row["kind"], study, row["subject"], **said, detail=detail | {"waited": row["id"], "films": covered})
            found = True
    return found


def reject(tx: Tx, sop_instance_uid: str, title: Rejection, source: str, *, note: str, now: float) -> bool:
    """Record that an instance was rejected by a note, whether it is here or not; False where that is known."""
    added = tx.execute(
        "INSERT OR IGNORE INTO correction (kind, subject, source, message, said_at, recorded_at, detail) "
        "VALUES ('rejected', ?, ?, ?, ?, ?, ?)",
        (sop_instance_uid, source, note, now, now, json.dumps({"title": title})),
    )
    _forget(tx, now)
    return added == 1


def _forget(tx: Tx, now: float) -> None:
    """Drop what has waited for long for a study or a film that did not come."""
    tx.execute(
        """
        DELETE FROM correction WHERE study_instance_uid IS NULL AND recorded_at < ? AND (kind != 'rejected'
            OR NOT EXISTS (SELECT 1 FROM instance i WHERE i.sop_instance_uid = correction.subject))
            AND NOT (kind = 'ordered' AND EXISTS (SELECT 1 FROM worklist_entry w
                WHERE w.accession_number = correction.subject OR w.study_instance_uid = correction.message))
        """,
        (now - _KEPT_SECONDS,),
    )


def is_rejected(tx: Tx, sop_instance_uid: str) -> bool:
    """Whether an instance was rejected before it came."""
    return bool(_rejected(tx, [sop_instance_uid]))


def facts(tx: Tx, study: str, doubts: Mapping[str, str]) -> Facts:
    """All that is known of a study; `doubts` as `Facts` has them."""
    films = _films(tx, study)
    words = json.dumps(list(Word))
    rows = tx.rows(
        "SELECT * FROM correction WHERE study_instance_uid = ? "
        "AND kind IN (SELECT value FROM json_each(?)) ORDER BY id",
        (study, words),
    )
    return Facts(films, _rejected(tx, films), steps.disowned(tx, study), [_spoken(row) for row in rows], doubts)


def _films_of(tx: Tx, study: str, accession: str, until: float = math.inf) -> frozenset[str]:
    """The films of a study that are of an order: those that name its number, or none.

    All of them, where none does, where the order is named by the study's UID alone, and where the RIS has given the
    study another number than its films name.
    """
    films = _films(tx, study, until)
    rows = tx.rows(
        """
        SELECT sop_instance_uid FROM instance JOIN worklist_entry w USING (study_instance_uid)
        WHERE study_instance_uid = ? AND coalesce(json_extract(header, '$.accession_number'), '') IN ('', ?)
            AND json_extract(w.identity, '$.AccessionNumber') IS NULL
        """,
        (study, accession),
    )
    found = films & {str(row["sop_instance_uid"]) for row in rows}
    return found if accession and found else films


def _films(tx: Tx, study: str, until: float = math.inf) -> frozenset[str]:
    rows = tx.rows(
        "SELECT sop_instance_uid FROM instance WHERE study_instance_uid = ? AND state IN (?, ?) AND received_at < ?",
        (study, *_HERE, until),
    )
    return frozenset(str(row["sop_instance_uid"]) for row in rows)


def _rejected(tx: Tx, films: Collection[str]) -> dict[str, Rejection]:
    rows = tx.rows(
        "SELECT subject, json_extract(detail, '$.title') AS title FROM correction "
        "WHERE kind = 'rejected' AND subject IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(films)),),
    )
    found: dict[str, list[Rejection]] = {}
    for row in rows:
        found.setdefault(str(row["subject"]), []).append(Rejection(row["title"]))
    return {uid: gravest(titles) for uid, titles in found.items()}


def add(tx: Tx, kind: str, study: str | None, subject: str, **said: Any) -> None:
    """Record a fact of a kind, of a study or (None) of a subject that is none; `said`: the other columns."""
    detail = json.dumps(said["detail"], ensure_ascii=False)
    tx.execute(
        "INSERT INTO correction (kind, study_instance_uid, subject, source, message, said_at, recorded_at, detail) "
        "VALUES (:kind, :study, :subject, :source, :message, :said_at, :recorded_at, :detail)",
        {"message": "", **said, "kind": kind, "study": study, "subject": subject, "detail": detail},
    )


def _spoken(row: Row) -> Spoken:
    detail = json.loads(row["detail"])
    message = detail.get("message")
    return Spoken(
        number=int(row["id"]),
        word=Word(row["kind"]),
        at=float(row["said_at"]),
        films=frozenset(detail.get("films", ())),
        order=str(row["subject"]),
        reason=told(detail.get("reason", ""), json.dumps(message) if message else None) or "",
        grounds=frozenset(detail.get("grounds", ())),
    )
