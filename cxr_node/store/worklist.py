"""The worklist as it stands: one entry a study, kept in step with its images, read in the order of domain.priority."""

import json
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any

from cxr_node.domain.finding import Tier
from cxr_node.domain.instance import Header
from cxr_node.domain.priority import REQUESTED, Place, Policy, Priority, group, more_urgent, sort_key
from cxr_node.domain.reading import Actor
from cxr_node.domain.region import Outcome
from cxr_node.domain.study import EntryState, Image, Judging, Standing, assess
from cxr_node.message import Message
from cxr_node.store import events, steps, studies, workitems
from cxr_node.store.db import Row, Tx
from cxr_node.store.kept import keep, told

_KEPT_IN_STEP = (EntryState.WAITING, EntryState.ANALYSED, EntryState.NOT_ANALYSED)
_OPEN = "state NOT IN ('read', 'withdrawn')"  # in the words of the index that serves it
_CLOSED = (EntryState.READ, EntryState.WITHDRAWN)
_ASKED = "SELECT study_instance_uid, uid, priority AS wanted, asked_by, asked_at, outcome FROM asked"
_WHOSE = ("patient_id", "issuer_of_patient_id", "accession_number")
Placed = tuple[tuple[bool, int, float, str], dict[str, Any]]
"""An entry behind what it is sorted by."""


def arrive(tx: Tx, header: Header, received_at: float, *, corrected: bool = False, counts: bool = True) -> None:
    """Open the entry of a study at its first film.

    Later films fill in what the first did not say, and may make the study more urgent, never less. Only a correction
    (`corrected`) replaces what stands there. A study that was read comes back with a film that nobody has seen, if it
    `counts`.
    """
    known = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ?", (header.study_instance_uid,))
    said = (header.accession_number, header.patient_id, header.issuer_of_patient_id)
    asked = REQUESTED.get(header.requested_priority or "")
    if known is None:
        wished, ready = workitems.adopt(tx, header.study_instance_uid, header.accession_number)
        asked = more_urgent(asked, wished)
        tx.execute(
            "INSERT INTO worklist_entry (study_instance_uid, accession_number, patient_id, issuer_of_patient_id, "
            "priority, state, tier, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (header.study_instance_uid, *said, asked, EntryState.WAITING, Tier.NONE, received_at),
        )
        for uid in ready:
            workitems.tell_state(tx, uid, received_at)
        workitems.open_for(tx, header.study_instance_uid, received_at)
        return
    stood = (known["accession_number"], known["patient_id"], known["issuer_of_patient_id"])
    first, second = (said, stood) if corrected else (stood, said)
    urgent = more_urgent(Priority(known["priority"]) if known["priority"] else None, asked)
    tx.execute(
        "UPDATE worklist_entry SET accession_number = ?, patient_id = ?, issuer_of_patient_id = ?, priority = ?, "
        "received_at = min(received_at, ?), site = NULL WHERE study_instance_uid = ?",
        (*(a or b for a, b in zip(first, second, strict=True)), urgent, received_at, header.study_instance_uid),
    )
    state = EntryState(known["state"])
    if state is EntryState.READ and counts and not corrected:
        state = EntryState.WAITING
        tx.execute(
            "UPDATE worklist_entry SET state = ?, reader = NULL, state_since = ? WHERE study_instance_uid = ?",
            (state, received_at, header.study_instance_uid),
        )
    record_move(tx, known, received_at, "film", state=state, priority=urgent)


def refresh(tx: Tx, study: str, judging: Judging, now: float) -> Standing | None:
    """Bring an entry in step with its images; a move is recorded with what stood before and after, and its cause.

    What an earlier model concluded stands until the films have been given to the one in service.
    """
    row = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    if row is None:
        return None
    images = studies.images(tx, study, judging.model_digest)
    concluded = _concluded(row, images)
    standing = concluded or assess(images, judging.cutoffs, shown=Tier(row["tier"]))
    state, reason = EntryState(row["state"]), _reason(row)
    if state in _KEPT_IN_STEP:
        state, reason = standing.state, standing.reason
        if reason and not concluded and (why := steps.discontinued(tx, study)):
            reason = Message("{one}; {other}", one=reason, other=why.sentence)
    tx.execute(
        """
        UPDATE worklist_entry SET state = ?, tier = ?, positive = ?, finding = ?, probability = ?, threshold = ?,
            reason = ?, reason_message = ? WHERE study_instance_uid = ?
        """,
        (
            state, standing.tier, int(standing.positive), standing.finding, standing.probability,
            row["threshold"] if concluded else judging.cutoffs.threshold, reason, keep(reason), study,
        ),
    )  # fmt: skip
    record_move(tx, row, now, "images", state=state, tier=standing.tier)
    return standing


def _concluded(row: Row, images: Sequence[Image]) -> Standing | None:
    """What another model than the one in service concluded, where that one has not been given any of the films."""
    eligible = [image for image in images if image.refusal is None]
    if not eligible or any(image.asked for image in eligible) or row["state"] == EntryState.WAITING:
        return None
    judged = row["probability"] is not None
    return Standing(
        EntryState.ANALYSED if judged else EntryState.NOT_ANALYSED,
        Tier(row["tier"]), bool(row["positive"]), row["finding"], row["probability"], None if judged else _reason(row),
    )  # fmt: skip


def recompute(tx: Tx, study: str, judging: Judging, now: float) -> None:
    """A film does not count any more, and nothing is shown because of it."""
    tx.execute("UPDATE worklist_entry SET tier = ? WHERE study_instance_uid = ?", (Tier.NONE, study))
    refresh(tx, study, judging, now)


def put(tx: Tx, study: str, state: EntryState, reason: str, now: float, *, by: str | None = None) -> None:
    """Move an entry to a state that its images do not change; `reason` is a sentence for the reader, `by` whose word.

    Whoever had claimed the study has it no more.
    """
    row = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    if row is not None:
        tx.execute(
            "UPDATE worklist_entry SET state = ?, reason = ?, reason_message = ?, reader = NULL, state_since = ? "
            "WHERE study_instance_uid = ?",
            (state, reason, keep(reason), now, study),
        )
        record_move(tx, row, now, str(state), Actor(by) if by else None, state=state)


def record_move(tx: Tx, row: Row, now: float, cause: str, by: Actor | None = None, **changed: str | None) -> None:
    """Record what of state, tier and priority is no longer as in `row`; nothing where nothing has `changed`.

    Of who acts at the page or the command line others are told, so that the event says whose study it is, too.
    """
    before = {name: row[name] for name in ("state", "tier", "priority")}
    after = before | {name: None if value is None else str(value) for name, value in changed.items()}
    if before != after:
        who, study = {"by": by.name} if by and by.name else {}, row["study_instance_uid"]
        if by and by.address is not None:
            who |= {"address": by.address, **{key: row[key] for key in _WHOSE}}
        events.append(tx, now, "worklist.moved", study, before=before, after=after, cause=cause, **who)
        if before["state"] != after["state"]:
            was, stands = EntryState(str(before["state"])), EntryState(str(after["state"]))
            workitems.follow(tx, study, was, stands, now, by=by.name if by else "")


def state(tx: Tx, study: str) -> EntryState | None:
    """The state of a study's entry; None where it has none."""
    row = tx.row("SELECT state FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    return EntryState(row["state"]) if row else None


def received_at(tx: Tx, study: str) -> float:
    """When the first film of a study came, seconds since 1970 UTC; 0 where none has."""
    row = tx.row("SELECT received_at FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    return float(row["received_at"]) if row else 0.0


def priority(tx: Tx, study: str) -> Priority | None:
    """What a person or the RIS asked for."""
    row = tx.row("SELECT priority FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    return Priority(row["priority"]) if row and row["priority"] else None


def study_of_accession(tx: Tx, accession: str) -> str | None:
    """The open study of an accession number; None where there is none, or more than one."""
    rows = tx.rows(
        f"SELECT study_instance_uid FROM worklist_entry WHERE accession_number = ? AND {_OPEN} LIMIT 2",  # noqa: S608
        (accession,),
    )
    return str(rows[0]["study_instance_uid"]) if len(rows) == 1 else None


def tier(tx: Tx, study: str) -> Tier:
    """What the model promotes a study to."""
    row = tx.row("SELECT tier FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    return Tier(row["tier"]) if row else Tier.NONE


def reason(tx: Tx, study: str) -> str | None:
    """Why a study is not analysed, is held or was withdrawn: a sentence."""
    row = tx.row("SELECT reason FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    return row["reason"] if row else None


def whose(tx: Tx, study: str | None) -> dict[str, str | None]:
    """Whose study it is, and under which accession number, as it is known now; empty for none."""
    row = tx.row(
        f"SELECT {', '.join(_WHOSE)} FROM worklist_entry WHERE study_instance_uid = ?",  # noqa: S608 - constants
        (study,),
    )
    return row or {}


def entries(tx: Tx, policy: Policy, now: float, *, closed: bool = False) -> list[dict[str, Any]]:
    """The entries in reading order, as `worklist --json` shows them; `closed`: then those that have left the list."""
    return in_order(placed(tx, policy, now, closed=closed))


def placed(
    tx: Tx, policy: Policy, now: float, *, closed: bool = False, only: Collection[str] | None = None
) -> list[Placed]:
    """The same in no order and without positions: of all studies, or of those that are named."""
    wanted = [] if closed else [_OPEN]
    if only is not None:
        wanted.append("study_instance_uid IN (SELECT value FROM json_each(?))")
    where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
    sql = f"SELECT * FROM worklist_entry LEFT JOIN ({_ASKED}) USING (study_instance_uid) {where}"  # noqa: S608 - constant clauses
    rows = tx.rows(sql, () if only is None else (json.dumps(list(only)),))
    return [_placed(row, policy, now) for row in rows]


def in_order(found: Iterable[Placed]) -> list[dict[str, Any]]:
    """Entries sorted and numbered."""
    ordered = sorted(found, key=itemgetter(0))
    return [{"position": position, **entry} for position, (_, entry) in enumerate(ordered, start=1)]


def _placed(row: Row, policy: Policy, now: float) -> Placed:
    stands = place(row)
    key = (row["state"] in _CLOSED, *sort_key(stands, policy, now))
    return key, _shown(row, group(stands, policy, now).name.lower())


def freeze(tx: Tx, frozen: bool, now: float, by: str, address: str = "") -> None:
    """The kill switch: while it is on, the model moves nothing. `address`: of whose browser, if of any."""
    tx.execute("INSERT OR REPLACE INTO setting (name, value) VALUES ('frozen', ?)", ("1" if frozen else "0",))
    events.append(tx, now, "worklist.frozen" if frozen else "worklist.unfrozen", None, by=by, address=address)


def is_frozen(tx: Tx) -> bool:
    row = tx.row("SELECT value FROM setting WHERE name = 'frozen'")
    return row is not None and row["value"] == "1"


def place(row: Row) -> Place:
    """What the order needs to know of a row of the table."""
    priority = Priority(row["priority"]) if row["priority"] else None
    tier = Tier.NONE if row["state"] == EntryState.HELD else Tier(row["tier"])  # whose it is, is not known
    return Place(row["study_instance_uid"], row["received_at"], tier, priority)


def _reason(row: Row) -> str | None:
    return told(row["reason"], row["reason_message"])


def _shown(row: Row, group: str) -> dict[str, Any]:
    return {
        "study_instance_uid": row["study_instance_uid"],
        "accession_number": row["accession_number"],
        "patient_id": row["patient_id"],
        "issuer_of_patient_id": row["issuer_of_patient_id"],
        "site": row["site"],
        "state": row["state"],
        "tier": row["tier"],
        "priority": row["priority"],
        "positive": bool(row["positive"]),
        "finding": row["finding"],
        "probability": row["probability"],
        "threshold": row["threshold"],
        "reason": _reason(row),
        "received_at": row["received_at"],
        "group": group,
        "reader": row["reader"],
        "state_since": row["state_since"],
        "asked": _asked(row),
    }


def _asked(row: Row) -> dict[str, Any] | None:
    """At a hub: what is asked of the site, and why it is not given where the site has answered that."""
    if row["site"] is None or row["uid"] is None or row["outcome"] == Outcome.GIVEN:
        return None
    return {"priority": row["wanted"], "by": row["asked_by"], "at": row["asked_at"], "refused": row["outcome"]}


def named(tx: Tx, name: str) -> list[str]:
    """The studies of this UID, or of this accession number."""
    rows = tx.rows(
        "SELECT study_instance_uid FROM worklist_entry WHERE study_instance_uid = ? OR accession_number = ?",
        (name, name),
    )
    return [str(row["study_instance_uid"]) for row in rows]
