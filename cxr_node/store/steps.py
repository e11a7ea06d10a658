"""What X-ray machines have said of the procedure steps that they perform."""

from dataclasses import dataclass
from typing import Any

from cxr_node.domain.step import WRONG_ENTRY, Listed, Reason, Statement, StepState
from cxr_node.store.db import Row, Tx

_OF_STUDY = """
    performed_step s WHERE s.sop_instance_uid IN (
        SELECT step FROM performed_step_study WHERE study_instance_uid = :study
        UNION SELECT l.step FROM performed_step_instance l JOIN instance i USING (sop_instance_uid)
        WHERE i.study_instance_uid = :study)
"""
"""The steps that name a study, and those that list one of its films: not every machine names the same study in both."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step as it stands. `studies`: those that it names, and those whose films it lists."""

    state: StepState
    reason: Reason | None
    studies: tuple[str, ...]


def add(tx: Tx, said: Statement, now: float) -> None:
    tx.execute(
        "INSERT INTO performed_step (sop_instance_uid, state, calling_ae_title, created_at, changed_at) "
        "VALUES (?, ?, ?, ?, ?)",
        (said.sop_instance_uid, StepState.IN_PROGRESS, said.calling_ae_title, now, now),
    )
    for study in said.studies or ():
        tx.execute("INSERT INTO performed_step_study VALUES (?, ?)", (said.sop_instance_uid, study))
    _list(tx, said)


def change(tx: Tx, said: Statement, now: float) -> None:
    """Take over what is said; what is not said stays as it was."""
    tx.execute(
        "UPDATE performed_step SET state = coalesce(?, state), reason = coalesce(?, reason), "
        "reason_scheme = coalesce(?, reason_scheme), changed_at = ? WHERE sop_instance_uid = ?",
        (
            said.status, said.reason.value if said.reason else None, said.reason.scheme if said.reason else None,
            now, said.sop_instance_uid,
        ),
    )  # fmt: skip
    _list(tx, said)


def _list(tx: Tx, said: Statement) -> None:
    """The newest list holds (PS3.7 10.1.3); an empty one says nothing."""
    if not said.instances:
        return
    tx.execute("DELETE FROM performed_step_instance WHERE step = ?", (said.sop_instance_uid,))
    for one in said.instances:
        tx.execute(
            "INSERT OR REPLACE INTO performed_step_instance VALUES (?, ?, ?)",
            (said.sop_instance_uid, one.sop_instance_uid, one.sop_class_uid),
        )


def find(tx: Tx, sop_instance_uid: str) -> Step | None:
    row = tx.row("SELECT * FROM performed_step WHERE sop_instance_uid = ?", (sop_instance_uid,))
    if row is None:
        return None
    studies = tx.rows(
        """
        SELECT study_instance_uid FROM performed_step_study WHERE step = :step
        UNION SELECT i.study_instance_uid FROM performed_step_instance l JOIN instance i USING (sop_instance_uid)
        WHERE l.step = :step
        """,
        {"step": sop_instance_uid},
    )
    return Step(StepState(row["state"]), _reason(row), tuple(str(one["study_instance_uid"]) for one in studies))


def in_progress(tx: Tx, study: str) -> bool:
    """Whether an X-ray machine is still at work on a study."""
    known = {"study": study, "state": StepState.IN_PROGRESS}
    return tx.row(f"SELECT 1 FROM {_OF_STUDY} AND s.state = :state", known) is not None  # noqa: S608 - a constant


def listed(tx: Tx, study: str) -> list[Listed]:
    """What the completed steps of a study list."""
    rows = tx.rows(
        f"""
        SELECT sop_class_uid, sop_instance_uid FROM performed_step_instance
        WHERE step IN (SELECT s.sop_instance_uid FROM {_OF_STUDY} AND s.state = :state)
        """,  # noqa: S608 - a constant
        {"study": study, "state": StepState.COMPLETED},
    )
    return [Listed(**row) for row in rows]


def discontinued(tx: Tx, study: str) -> Reason | None:
    """Why the newest step of a study was discontinued; None where it was not."""
    newest = f"SELECT s.* FROM {_OF_STUDY} ORDER BY s.created_at DESC, s.rowid DESC"  # noqa: S608 - a constant
    row = tx.row(newest, {"study": study})
    if row is None or row["state"] != StepState.DISCONTINUED:
        return None
    return _reason(row) or Reason("", "")


def stands(tx: Tx, study: str) -> bool:
    """Whether a step of a study is in progress or completed."""
    known = {"study": study, "state": StepState.DISCONTINUED}
    return tx.row(f"SELECT 1 FROM {_OF_STUDY} AND s.state != :state", known) is not None  # noqa: S608 - a constant


def disowned(tx: Tx, study: str) -> frozenset[str]:
    """The films of a study that were made in a step that was begun from the wrong worklist entry."""
    rows = tx.rows(
        """
        SELECT DISTINCT l.sop_instance_uid FROM performed_step_instance l
        JOIN performed_step s ON s.sop_instance_uid = l.step JOIN instance i ON i.sop_instance_uid = l.sop_instance_uid
        WHERE i.study_instance_uid = ? AND s.state = ? AND s.reason = ? AND s.reason_scheme = ?
        """,
        (study, StepState.DISCONTINUED, WRONG_ENTRY.value, WRONG_ENTRY.scheme),
    )
    return frozenset(str(row["sop_instance_uid"]) for row in rows)


def of_study(tx: Tx, study: str) -> list[dict[str, Any]]:
    """Steps as `study --json` shows them."""
    oldest_first = f"SELECT s.* FROM {_OF_STUDY} ORDER BY s.created_at, s.rowid"  # noqa: S608 - a constant
    rows = tx.rows(oldest_first, {"study": study})
    return [
        {
            "sop_instance_uid": row["sop_instance_uid"],
            "state": row["state"],
            "reason": reason.sentence if (reason := _reason(row)) else None,
            "calling_ae_title": row["calling_ae_title"],
            "created_at": row["created_at"],
            "changed_at": row["changed_at"],
        }
        for row in rows
    ]


def _reason(row: Row) -> Reason | None:
    return Reason(row["reason"], row["reason_scheme"]) if row["reason"] else None
