"""The worklist as it stands: one entry a study, kept in step with its images, read in the order of domain.priority."""

from collections.abc import Sequence
from typing import Any

from cxr_node.domain.finding import Tier
from cxr_node.domain.instance import Header
from cxr_node.domain.priority import REQUESTED, Place, Policy, Priority, more_urgent, sort_key
from cxr_node.domain.study import EntryState, Image, Judging, Standing, assess
from cxr_node.store import events, steps, studies
from cxr_node.store.db import Row, Tx

_KEPT_IN_STEP = (EntryState.WAITING, EntryState.ANALYSED, EntryState.NOT_ANALYSED)
_OPEN = "WHERE state NOT IN ('read', 'withdrawn')"  # in the words of the index that serves it


def arrive(tx: Tx, header: Header, received_at: float, *, corrected: bool = False) -> None:
    """Open the entry of a study at its first film.

    Later films fill in what the first did not say, and may make the study more urgent, never less. Only a correction
    (`corrected`) replaces what stands there.
    """
    known = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ?", (header.study_instance_uid,))
    said = (header.accession_number, header.patient_id, header.issuer_of_patient_id)
    asked = REQUESTED.get(header.requested_priority or "")
    if known is None:
        tx.execute(
            "INSERT INTO worklist_entry (study_instance_uid, accession_number, patient_id, issuer_of_patient_id, "
            "priority, state, tier, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (header.study_instance_uid, *said, asked, EntryState.WAITING, Tier.NONE, received_at),
        )
        return
    stood = (known["accession_number"], known["patient_id"], known["issuer_of_patient_id"])
    first, second = (said, stood) if corrected else (stood, said)
    urgent = more_urgent(Priority(known["priority"]) if known["priority"] else None, asked)
    tx.execute(
        "UPDATE worklist_entry SET accession_number = ?, patient_id = ?, issuer_of_patient_id = ?, priority = ?, "
        "received_at = min(received_at, ?) WHERE study_instance_uid = ?",
        (*(a or b for a, b in zip(first, second, strict=True)), urgent, received_at, header.study_instance_uid),
    )


def refresh(tx: Tx, study: str, judging: Judging, now: float) -> Standing | None:
    """Bring an entry in step with its images; a move is recorded with what stood before and after.

    What an earlier model concluded stands until the films have been given to the one in service.
    """
    row = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    if row is None:
        return None
    images = studies.images(tx, study, judging.model_digest)
    concluded = _concluded(row, images)
    standing = concluded or assess(images, judging.cutoffs, shown=Tier(row["tier"]))
    state, reason = EntryState(row["state"]), row["reason"]
    if state in _KEPT_IN_STEP:
        state, reason = standing.state, standing.reason
        if reason and not concluded and (why := steps.discontinued(tx, study)):
            reason = f"{reason}; {why.sentence}"
    tx.execute(
        """
        UPDATE worklist_entry SET state = ?, tier = ?, positive = ?, finding = ?, probability = ?, threshold = ?,
            reason = ? WHERE study_instance_uid = ?
        """,
        (
            state, standing.tier, int(standing.positive), standing.finding, standing.probability,
            row["threshold"] if concluded else judging.cutoffs.threshold, reason, study,
        ),
    )  # fmt: skip
    _moved(tx, row, state, standing.tier, now)
    return standing


def _concluded(row: Row, images: Sequence[Image]) -> Standing | None:
    """What another model than the one in service concluded, where that one has not been given any of the films."""
    eligible = [image for image in images if image.refusal is None]
    if not eligible or any(image.asked for image in eligible) or row["state"] == EntryState.WAITING:
        return None
    judged = row["probability"] is not None
    return Standing(
        EntryState.ANALYSED if judged else EntryState.NOT_ANALYSED,
        Tier(row["tier"]), bool(row["positive"]), row["finding"], row["probability"], None if judged else row["reason"],
    )  # fmt: skip


def put(tx: Tx, study: str, state: EntryState, reason: str, now: float) -> None:
    """Move an entry to a state that its images do not change; `reason` is a sentence for the reader."""
    row = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    if row is not None:
        tx.execute(
            "UPDATE worklist_entry SET state = ?, reason = ? WHERE study_instance_uid = ?", (state, reason, study)
        )
        _moved(tx, row, state, Tier(row["tier"]), now)


def _moved(tx: Tx, row: Row, state: EntryState, tier: Tier, now: float) -> None:
    before, after = (row["state"], row["tier"]), (state.value, tier.value)
    if before != after:
        events.append(
            tx, now, "worklist.moved", row["study_instance_uid"],
            before={"state": before[0], "tier": before[1]}, after={"state": after[0], "tier": after[1]},
        )  # fmt: skip


def state(tx: Tx, study: str) -> EntryState | None:
    """The state of a study's entry; None where it has none."""
    row = tx.row("SELECT state FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    return EntryState(row["state"]) if row else None


def identity(tx: Tx, study: str) -> dict[str, str | None]:
    """Whose study it is, and under which accession number; as it is known now."""
    row = tx.row(
        "SELECT patient_id, issuer_of_patient_id, accession_number FROM worklist_entry WHERE study_instance_uid = ?",
        (study,),
    )
    return row or {}


def entries(tx: Tx, policy: Policy, now: float, *, closed: bool = False) -> list[dict[str, Any]]:
    """The entries in reading order, as `worklist --json` shows them."""
    rows = tx.rows(f"SELECT * FROM worklist_entry {'' if closed else _OPEN}")  # noqa: S608 - constant clauses
    ordered = sorted(rows, key=lambda row: sort_key(_place(row), policy, now))
    return [_shown(row, position) for position, row in enumerate(ordered, start=1)]


def freeze(tx: Tx, frozen: bool, now: float) -> None:
    """The kill switch: while it is on, the model moves nothing."""
    tx.execute("INSERT OR REPLACE INTO setting (name, value) VALUES ('frozen', ?)", ("1" if frozen else "0",))
    events.append(tx, now, "worklist.frozen" if frozen else "worklist.unfrozen")


def is_frozen(tx: Tx) -> bool:
    row = tx.row("SELECT value FROM setting WHERE name = 'frozen'")
    return row is not None and row["value"] == "1"


def _place(row: Row) -> Place:
    priority = Priority(row["priority"]) if row["priority"] else None
    return Place(row["study_instance_uid"], row["received_at"], Tier(row["tier"]), priority)


def _shown(row: Row, position: int) -> dict[str, Any]:
    return {
        "position": position,
        "study_instance_uid": row["study_instance_uid"],
        "accession_number": row["accession_number"],
        "patient_id": row["patient_id"],
        "issuer_of_patient_id": row["issuer_of_patient_id"],
        "site": None,
        "state": row["state"],
        "tier": row["tier"],
        "priority": row["priority"],
        "positive": bool(row["positive"]),
        "finding": row["finding"],
        "probability": row["probability"],
        "threshold": row["threshold"],
        "reason": row["reason"],
        "received_at": row["received_at"],
    }
