"""Workitems as they stand: those that the node made for its studies, and those that peers created.

One that is about a study of the worklist follows it. Whatever moves the study, in whatever process, moves its workitems
in the same transaction, and has those told who want to hear of it.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from cxr_node.domain import region, requirements, workitem
from cxr_node.domain.dicom_json import Attributes, element, first, items
from cxr_node.domain.priority import Priority, more_urgent
from cxr_node.domain.reading_step import Film, Patient, Rank, Step, describe
from cxr_node.domain.region import Asked
from cxr_node.domain.requirements import Ending
from cxr_node.domain.study import EntryState
from cxr_node.domain.workitem import Event, State
from cxr_node.store import subscriptions
from cxr_node.store.db import Row, Tx
from cxr_node.store.subscriptions import News

_DESCRIBED = {"patient_name": "PatientName", "birth_date": "PatientBirthDate", "sex": "PatientSex"}
_OF = """
    SELECT w.*, e.accession_number AS entry_accession, e.patient_id, e.issuer_of_patient_id, e.state AS entry_state,
        e.tier, e.priority, e.finding, e.reason, coalesce(e.received_at, w.created_at) AS received_at, e.state_since,
        e.study_instance_uid IS NOT NULL AND e.site IS NULL AS listed, e.identity, e.site,
        a.uid AS asked_uid, a.priority AS asked_priority, a.asked_by, a.asked_at, a.over AS asked_over,
        (SELECT i.header FROM instance i WHERE i.study_instance_uid = w.study_instance_uid AND i.state = 'current'
            ORDER BY i.id DESC LIMIT 1) AS header
    FROM workitem w LEFT JOIN worklist_entry e USING (study_instance_uid)
    LEFT JOIN asked a ON a.study_instance_uid = e.study_instance_uid AND a.outcome IS NULL AND e.site IS NOT NULL
"""


def of_uid(tx: Tx, uid: str) -> Row | None:
    """A workitem with its study's entry, where it has one (`listed`)."""
    return tx.row(f"{_OF} WHERE w.uid = ?", (uid,))


def of_sequence(tx: Tx, sequences: Sequence[int]) -> dict[int, Row]:
    """The same of several, by their number."""
    rows = tx.rows(f"{_OF} WHERE w.sequence IN (SELECT value FROM json_each(?))", (json.dumps(list(sequences)),))  # noqa: S608
    return {int(row["sequence"]): row for row in rows}


def all_of(tx: Tx) -> list[Row]:
    """The same of every workitem."""
    return tx.rows(f"{_OF} ORDER BY w.sequence")


def said_of(row: Row) -> Attributes:
    """What peers have said of a workitem."""
    said: Attributes = json.loads(row["said"])
    return said


def _shown_of(row: Row) -> Attributes:
    """The same, and at a hub what is asked of the site."""
    if row["asked_uid"] is None:
        return said_of(row)
    wanted = Priority(row["asked_priority"]) if row["asked_priority"] else None
    asked = Asked(row["asked_uid"], wanted, row["asked_by"], row["asked_at"], row["asked_over"])
    return region.with_asked(said_of(row), asked)


def described(tx: Tx, row: Row) -> Attributes:
    """Its attributes, without its rank."""
    return describe(step_of(tx, row))


def to_rank(tx: Tx, *, closed: bool, only: Collection[str] | None = None) -> list[Row]:
    """Of every workitem, or of those that are open, what the reading order looks at.

    `only`: of these, by their own UIDs or those of their studies.
    """
    wanted = [] if closed else ["w.state IN ('SCHEDULED', 'IN PROGRESS')"]
    if only is not None:
        wanted.append("w.sequence IN (SELECT sequence FROM workitem WHERE uid IN (SELECT value FROM json_each(:only)) "
                      "OR study_instance_uid IN (SELECT value FROM json_each(:only)))")  # fmt: skip
    return tx.rows(
        f"""
        SELECT w.sequence, w.uid, w.state, coalesce(e.received_at, w.created_at) AS received_at,
            CASE WHEN e.state = 'held' THEN 'none' ELSE e.tier END AS tier, e.priority,
            e.study_instance_uid IS NOT NULL AS listed, CASE WHEN w.creator IS NULL THEN '{{}}' ELSE w.said END AS said
        FROM workitem w LEFT JOIN worklist_entry e USING (study_instance_uid)
        {"WHERE " + " AND ".join(wanted) if wanted else ""}
        """,  # noqa: S608 - constant clauses
        {"only": json.dumps(list(only or ()))},
    )


def changed_since(tx: Tx, after: int) -> frozenset[str]:
    """The UIDs of the workitems, and of the studies, that the events after a sequence number are about."""
    rows = tx.rows(
        """
        SELECT study_instance_uid AS uid FROM event WHERE sequence > :after AND study_instance_uid IS NOT NULL
        UNION SELECT json_extract(detail, '$.workitem') FROM event WHERE sequence > :after AND event GLOB 'workitem.*'
        """,
        {"after": after},
    )
    return frozenset(row["uid"] for row in rows)


def add(tx: Tx, uid: str, study: str | None, now: float, *, accession: str = "", creator: str | None = None,
        said: Attributes | None = None) -> Row:  # fmt: skip
    """A new workitem, scheduled; those who hear of all are told."""
    tx.execute(
        "INSERT INTO workitem (uid, study_instance_uid, accession_number, state, creator, said, created_at, changed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (uid, study, accession or None, State.SCHEDULED, creator, json.dumps(said or {}), now, now),
    )
    tell_state(tx, uid, now)
    return _row(tx, uid)


def open_for(tx: Tx, study: str, now: float) -> None:
    """The first workitem of a study, at its first film."""
    add(tx, workitem.uid_of(study, 1), study, now)


def follow(tx: Tx, study: str, before: EntryState, after: EntryState, now: float, *, by: str = "") -> None:
    """The study has moved: so do its workitems, and where none is left that is not final it gets a new one.

    One that stays where it is tells when its Input Readiness State is another. `by`: who reads the study, where known.
    """
    wanted = workitem.standing_for(after)
    rows = tx.rows("SELECT * FROM workitem WHERE study_instance_uid = ? ORDER BY sequence", (study,))
    left = []
    for row in rows:
        stands, moves = State(row["state"]), workitem.way(State(row["state"]), wanted)
        for step in moves:
            move(tx, row["uid"], step, now, by)
            stands = step
        if not (moves or stands.final) and EntryState.HELD in (before, after):
            tell_state(tx, row["uid"], now)
        left.append(stands)
    if workitem.renewed(left, wanted):
        number = 1 + sum(row["creator"] is None for row in rows)
        uid = add(tx, workitem.uid_of(study, number), study, now)["uid"]
        if wanted is State.IN_PROGRESS:
            move(tx, uid, wanted, now)


def adopt(tx: Tx, study: str, accession: str | None) -> tuple[Priority | None, list[str]]:
    """Workitems that peers created before the first film of this study came are about it from now on.

    What they wish for it, and which of them are ready now that were not. Those that somebody has begun to perform, or
    has ended, stay as they are.
    """
    rows = tx.rows(
        """
        SELECT uid, said FROM workitem WHERE creator IS NOT NULL AND state = 'SCHEDULED' AND (
            study_instance_uid = :study OR (study_instance_uid IS NULL AND accession_number = :accession))
        """,
        {"study": study, "accession": accession or None},
    )
    wished: Priority | None = None
    for row in rows:
        tx.execute("UPDATE workitem SET study_instance_uid = ? WHERE uid = ?", (study, row["uid"]))
        wished = more_urgent(wished, workitem.wished_priority(said_of(row)))
    return wished, [row["uid"] for row in rows if first(said_of(row), "00404041") != "READY"]


def move(tx: Tx, uid: str, state: State, now: float, by: str = "") -> None:
    """Put a workitem into a state, and have it told; a final one with what it requires, performed by `by`."""
    row = _row(tx, uid)
    began = row["changed_at"] if row["state"] == State.IN_PROGRESS else now
    said = requirements.at_its_end(said_of(row), state, Ending(began, now, row["performer"] or by))
    tx.execute(
        "UPDATE workitem SET state = ?, said = ?, changed_at = ? WHERE uid = ?", (state, json.dumps(said), now, uid)
    )
    tell_state(tx, uid, now)


def tell_state(tx: Tx, uid: str, now: float) -> None:
    """Have its state and its readiness told."""
    row = _row(tx, uid)
    tell(tx, row, Event.STATE, state_information(row), now)


def hold(tx: Tx, uid: str, transaction_uid: str, performer: str) -> None:
    """Who performs a workitem shows that they do by a Transaction UID."""
    tx.execute(
        "UPDATE workitem SET transaction_uid = ?, performer = ? WHERE uid = ?", (transaction_uid, performer, uid)
    )


def say(tx: Tx, uid: str, said: Attributes, now: float) -> Row:
    """Replace what peers have said of a workitem."""
    tx.execute("UPDATE workitem SET said = ?, changed_at = ? WHERE uid = ?", (json.dumps(said), now, uid))
    return _row(tx, uid)


def tell(tx: Tx, row: Row, event: Event, information: Attributes, now: float) -> int:
    """Have those told who hear of a workitem; how many they are."""
    if not subscriptions.anybody(tx):
        return 0
    to = subscriptions.of_workitem(tx, row, described(tx, row))
    subscriptions.report(tx, to, News(row["uid"], event, information), now)
    return len(to)


def state_information(row: Row) -> Attributes:
    """What a UPS State Report says (PS3.4 table CC.2.4-1)."""
    said = said_of(row)
    told = {"00741000": element("CS", row["state"]), "00404041": element("CS", readiness(row))}
    progress = next(iter(items(said, "00741002")), {})
    return told | {tag: progress[tag] for tag in ("00741238", "0074100E") if tag in progress}


def readiness(row: Row) -> str:
    """Input Readiness State (0040,4041): a held study waits for a person, a peer says it of what we have no film of."""
    if row["listed"]:
        return "INCOMPLETE" if row["entry_state"] == EntryState.HELD else "READY"
    return first(said_of(row), "00404041") or "UNAVAILABLE"


def step_of(tx: Tx, row: Row, rank: Rank | None = None, archive: str = "") -> Step:
    """What a workitem says, as values; `archive` is the AE title of which the films can be had."""
    header: Mapping[str, Any] = json.loads(row["header"]) if row["header"] else {}
    known: Mapping[str, str] = json.loads(row["identity"]) if row["identity"] else {}
    return Step(
        uid=row["uid"],
        state=State(row["state"]),
        study=row["study_instance_uid"] or "",
        accession=row["entry_accession"] or row["accession_number"] or "",
        patient=Patient(
            row["patient_id"] or "", row["issuer_of_patient_id"] or "",
            *(known.get(keyword) or header.get(key) or "" for key, keyword in _DESCRIBED.items()),
        ),
        readiness=readiness(row),
        received_at=row["received_at"],
        changed_at=row["changed_at"],
        created_by_peer=row["creator"] is not None,
        listed=bool(row["listed"]),
        films=tuple(_films(tx, row)),
        said=_shown_of(row),
        rank=rank,
        archive=archive,
    )  # fmt: skip


def forget(tx: Tx, before: float, locked_before: float) -> int:
    """Remove final workitems that last changed before a time, those under a deletion lock only before an earlier one.

    The last workitem of a study that is there stays, so that the next one has another number. How many were removed.
    """
    rows = tx.rows(
        """
        SELECT uid FROM workitem w WHERE state IN ('COMPLETED', 'CANCELED') AND changed_at < :before
            AND (creator IS NOT NULL OR study_instance_uid IS NULL)
            AND (changed_at < :locked OR NOT EXISTS (
                SELECT 1 FROM subscription s WHERE s.locked AND s.workitem IN (w.uid, :all, :some)))
        """,
        {"before": before, "locked": locked_before, "all": workitem.GLOBAL, "some": workitem.FILTERED},
    )
    gone = [row["uid"] for row in rows]
    tx.execute("DELETE FROM workitem WHERE uid IN (SELECT value FROM json_each(?))", (json.dumps(gone),))
    subscriptions.forget(tx, gone)
    return len(gone)


def created_by_peers(tx: Tx) -> int:
    """How many workitems of peers are open."""
    row = tx.row(
        "SELECT count(*) AS n FROM workitem WHERE creator IS NOT NULL AND state IN ('SCHEDULED', 'IN PROGRESS')"
    )
    return int(row["n"]) if row else 0


def _films(tx: Tx, row: Row) -> Iterator[Film]:
    if row["listed"]:
        for one in tx.rows(
            "SELECT header FROM instance WHERE study_instance_uid = ? AND state = 'current' ORDER BY id",
            (row["study_instance_uid"],),
        ):
            header = json.loads(one["header"])
            yield Film(header["sop_class_uid"], header["sop_instance_uid"], header["series_instance_uid"])


def _row(tx: Tx, uid: str) -> Row:
    row = of_uid(tx, uid)
    assert row is not None  # noqa: S101 - it was written in this transaction
    return row
