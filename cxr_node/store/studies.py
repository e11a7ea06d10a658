"""Instances, and what is known of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cxr_node.domain.eligibility import Refusal
from cxr_node.domain.instance import Header, InstanceState
from cxr_node.domain.study import Image
from cxr_node.message import Message
from cxr_node.store.db import Row, Tx
from cxr_node.store.kept import keep, told
from cxr_node.store.served import SERVED, UNJUDGED

_HEADERS: Final = 256
"""Headers that a process keeps parsed: within one transaction those of a study are looked at many times."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An instance as it was received. `digest`: SHA-256 (hex) of its data set; `path`: relative to the spool."""

    digest: str
    path: str
    size: int
    transfer_syntax: str
    calling_ae_title: str
    received_at: float
    header: Header


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance as it stands in the database."""

    arrival: Arrival
    state: InstanceState
    refusal: Refusal | None


def add(tx: Tx, arrival: Arrival, state: InstanceState, refusal: Refusal | None) -> None:
    header = arrival.header
    tx.execute(
        """
        INSERT INTO instance (sop_instance_uid, study_instance_uid, digest, state, path, size, transfer_syntax,
            calling_ae_title, machine, received_at, header, refusal_code, refusal_reason, refusal_message)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            header.sop_instance_uid, header.study_instance_uid, arrival.digest, state, arrival.path, arrival.size,
            arrival.transfer_syntax, arrival.calling_ae_title, header.machine(arrival.calling_ae_title),
            arrival.received_at, json.dumps(header.to_json()), refusal.code if refusal else None,
            refusal.reason if refusal else None,
            keep(refusal.reason) if refusal else None,
        ),
    )  # fmt: skip


def by_digest(tx: Tx, digest: str) -> Stored | None:
    row = tx.row("SELECT * FROM instance WHERE digest = ?", (digest,))
    return _stored(row) if row else None


def study_of(tx: Tx, digest: str) -> str | None:
    """The study of an instance."""
    row = tx.row("SELECT study_instance_uid FROM instance WHERE digest = ?", (digest,))
    return row["study_instance_uid"] if row else None


def current_version(tx: Tx, sop_instance_uid: str) -> Stored | None:
    """The version of an instance that results are made from."""
    row = tx.row(
        "SELECT * FROM instance WHERE sop_instance_uid = ? AND state = ? ORDER BY id DESC",
        (sop_instance_uid, InstanceState.CURRENT),
    )
    return _stored(row) if row else None


def origin(tx: Tx, version: Stored) -> tuple[float, bool]:
    """When an instance first came, and whether this version of it, corrected, took the place of another."""
    row = tx.row(
        "SELECT min(received_at) AS first FROM instance WHERE sop_instance_uid = ? AND state = ? "
        "AND id < (SELECT id FROM instance WHERE digest = ?)",
        (version.arrival.header.sop_instance_uid, InstanceState.SUPERSEDED, version.arrival.digest),
    )
    first = row["first"] if row else None
    return (version.arrival.received_at, False) if first is None else (float(first), True)


def of_study(tx: Tx, study: str) -> list[Stored]:
    """Every version of every instance of a study, in the order of receipt."""
    return [
        _stored(row) for row in tx.rows("SELECT * FROM instance WHERE study_instance_uid = ? ORDER BY id", (study,))
    ]


def of_instances(tx: Tx, uids: Sequence[str]) -> list[str]:
    """The studies that instances came under, in whatever version."""
    rows = tx.rows(
        "SELECT DISTINCT study_instance_uid FROM instance WHERE sop_instance_uid IN (SELECT value FROM json_each(?)) "
        "ORDER BY study_instance_uid",
        (json.dumps(list(uids)),),
    )
    return [str(row["study_instance_uid"]) for row in rows]


def procedures(tx: Tx, study: str) -> set[str]:
    """The codes of what was requested that the current films of a study name."""
    headers = [one.arrival.header for one in of_study(tx, study) if one.state is InstanceState.CURRENT]
    return {value for header in headers for value in header.procedures}


def set_state(tx: Tx, digest: str, state: InstanceState) -> None:
    tx.execute("UPDATE instance SET state = ? WHERE digest = ?", (state, digest))


def uids(tx: Tx) -> list[str]:
    """The Study Instance UID of every study."""
    return [str(row["study_instance_uid"]) for row in tx.rows("SELECT DISTINCT study_instance_uid FROM instance")]


def digests(tx: Tx, prefix: str) -> dict[str, bool]:
    """The digests of all instances that begin with `prefix`, and whether the file of each is to be there."""
    rows = tx.rows("SELECT digest, purged_at FROM instance WHERE digest >= ? AND digest < ?", (prefix, prefix + "g"))
    return {str(row["digest"]): row["purged_at"] is None for row in rows}


def returned(tx: Tx, digest: str) -> None:
    """The file of an instance is there again."""
    tx.execute("UPDATE instance SET purged_at = NULL WHERE digest = ?", (digest,))


def images(tx: Tx, study: str, model_digest: str) -> list[Image]:
    """The current images of a study with what is known of each under one model.

    What it said beside another one does not count: a study rests on models that were in service for it.
    """
    return _images(tx, study, model_digest, "analyse", SERVED)


def consulted(tx: Tx, study: str, model_digest: str) -> list[Image]:
    """The same under a further model; whatever it was when it judged an image, what it says is the same."""
    return _images(tx, study, model_digest, "further", "1")


def _images(tx: Tx, study: str, model_digest: str, kind: str, counts: str) -> list[Image]:
    """Under a model that judges in jobs of a kind; `counts`: the condition for one of its results `r` to do so."""
    rows = tx.rows(
        f"""
        SELECT i.digest, i.sop_instance_uid, i.refusal_reason, i.refusal_message, r.probability, r.finding,
            j.state, j.error, j.error_message,
            r.id IS NOT NULL OR j.id IS NOT NULL AS asked
        FROM instance i
        LEFT JOIN result r ON r.instance_digest = i.digest AND r.model_digest = ? AND {counts}
        LEFT JOIN job j ON j.kind = ? AND j.subject = i.digest AND j.target = ?
        WHERE i.study_instance_uid = ? AND i.state = ? ORDER BY i.id
        """,  # noqa: S608 - a constant condition
        (model_digest, kind, model_digest, study, InstanceState.CURRENT),
    )
    return [_image(row) for row in rows]


def _image(row: Row) -> Image:
    ended = row["state"] in ("failed", "skipped")
    failure = told(row["error"], row["error_message"]) or Message("the analysis failed")
    return Image(
        digest=row["digest"],
        sop_instance_uid=row["sop_instance_uid"],
        refusal=told(row["refusal_reason"], row["refusal_message"]),
        failure=failure if ended and row["probability"] is None else None,
        probability=row["probability"],
        finding=row["finding"],
        asked=bool(row["asked"]),
    )


def _stored(row: Row) -> Stored:
    arrival = Arrival(
        digest=row["digest"],
        path=row["path"],
        size=row["size"],
        transfer_syntax=row["transfer_syntax"],
        calling_ae_title=row["calling_ae_title"],
        received_at=row["received_at"],
        header=_header(row["header"]),
    )
    reason = told(row["refusal_reason"], row["refusal_message"])
    refusal = Refusal(row["refusal_code"], reason or "") if row["refusal_code"] else None
    return Stored(arrival, InstanceState(row["state"]), refusal)


@lru_cache(_HEADERS)
def _header(written: str) -> Header:
    return Header.from_json(json.loads(written))


def comparing(tx: Tx, study: str) -> bool:
    """Whether another version of one of a study's films waits to be compared: its identity may be a corrected one."""
    row = tx.row(
        """
        SELECT 1 FROM instance n
        WHERE n.state = :comparing AND (n.study_instance_uid = :study OR n.sop_instance_uid IN (
            SELECT sop_instance_uid FROM instance WHERE study_instance_uid = :study AND state = :current)) LIMIT 1
        """,
        {"study": study, "comparing": InstanceState.COMPARING, "current": InstanceState.CURRENT},
    )
    return row is not None


def unjudged(tx: Tx, study: str, model_digest: str) -> list[str]:
    """Digests of the current films that a model may judge in service, has not judged so, and is not about to."""
    rows = tx.rows(
        f"""
        SELECT digest FROM instance i WHERE study_instance_uid = :study AND state = :current AND refusal_code IS NULL
            AND {UNJUDGED}
        """,  # noqa: S608 - a constant condition
        {"study": study, "current": InstanceState.CURRENT, "model": model_digest},
    )
    return [str(row["digest"]) for row in rows]


def conflict(tx: Tx, study: str) -> str | None:
    """Why the films of a study cannot be of one patient; None when nothing speaks against it."""
    headers = [one.arrival.header for one in of_study(tx, study) if one.state is InstanceState.CURRENT]
    patients = {(header.patient_id, header.issuer_of_patient_id or "") for header in headers if header.patient_id}
    differ = Message("its films name more than one patient: Patient ID (0010,0020) differs")
    return differ if len(patients) > 1 else None


def summary(stored: Stored) -> dict[str, Any]:
    """An instance as `study --json` shows it."""
    header = stored.arrival.header
    return {
        "sop_instance_uid": header.sop_instance_uid,
        "sop_class_uid": header.sop_class_uid,
        "series_instance_uid": header.series_instance_uid,
        "transfer_syntax": stored.arrival.transfer_syntax,
        "state": stored.state.value,
        "received_at": stored.arrival.received_at,
        "calling_ae_title": stored.arrival.calling_ae_title,
        "digest": stored.arrival.digest,
        "path": stored.arrival.path,
        "refusal": {"code": stored.refusal.code, "reason": stored.refusal.reason} if stored.refusal else None,
    }


def gathered_since(tx: Tx, after: int) -> tuple[list[str], int]:
    """At a hub: the studies of sites that came into the list after one (by its row), and the row of the last."""
    rows = tx.rows(
        "SELECT study_instance_uid, rowid AS row FROM worklist_entry "
        "WHERE rowid > ? AND site IS NOT NULL ORDER BY rowid",
        (after,),
    )
    return [str(row["study_instance_uid"]) for row in rows], int(rows[-1]["row"]) if rows else after


def uids_since(tx: Tx, after: int) -> tuple[list[str], int]:
    """The studies of the instances that came after one (by its row), and the row of the last."""
    rows = tx.rows("SELECT DISTINCT study_instance_uid FROM instance WHERE id > ?", (after,))
    last = tx.row("SELECT max(id) AS n FROM instance")
    return [str(row["study_instance_uid"]) for row in rows], int((last["n"] if last else 0) or 0)
