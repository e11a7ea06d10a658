"""What is known of the wait for a study's documents: the facts that domain.window decides from."""

import json

from cxr_node.domain import window
from cxr_node.domain.eligibility import FOR_PROCESSING, PROJECTION_CLASSES, SECONDARY_CAPTURE
from cxr_node.domain.instance import InstanceState
from cxr_node.domain.study import Waiting
from cxr_node.domain.window import Announced, Window
from cxr_node.store import commitments, steps
from cxr_node.store.db import Tx

_AWAITED = frozenset({*PROJECTION_CLASSES, SECONDARY_CAPTURE, ""}) - {FOR_PROCESSING}
"""Of what is listed, the classes that documents can be made from; an instance whose class is not said may be one."""


def films_due(tx: Tx, study: str, waiting: Waiting) -> float | None:
    """When the wait for further films of a study ends; None when none has come since it last settled."""
    opened = _open(tx, study)
    return window.films_due(opened, _announced(tx, study), waiting) if opened else None


def results_due(tx: Tx, study: str, model_digest: str, waiting: Waiting) -> float | None:
    """Until when a study's documents wait for films that are still being judged by a model; None: however long."""
    return window.results_due(_open(tx, study), _first_result(tx, study, model_digest), waiting)


def close(tx: Tx, study: str, now: float) -> None:
    """The study settles: films that come from now on, and results that are made, are new."""
    tx.execute(
        """
        UPDATE worklist_entry SET settled_at = :now, settled_instance = (
            SELECT coalesce(max(id), 0) FROM instance WHERE study_instance_uid = :study AND state = :current
        ) WHERE study_instance_uid = :study
        """,
        {"study": study, "current": InstanceState.CURRENT, "now": now},
    )


def _open(tx: Tx, study: str) -> Window | None:
    """The window opens with the first film after the study last settled, whatever came of that."""
    row = tx.row(
        """
        SELECT min(i.received_at) AS first, max(i.received_at) AS last, json_group_array(i.sop_instance_uid) AS films
        FROM instance i JOIN worklist_entry w ON w.study_instance_uid = i.study_instance_uid
        WHERE i.study_instance_uid = ? AND i.state = ? AND i.id > w.settled_instance
        """,
        (study, InstanceState.CURRENT),
    )
    if row is None or row["first"] is None:
        return None
    return Window(row["first"], row["last"], frozenset(json.loads(row["films"])))


def _announced(tx: Tx, study: str) -> Announced:
    """What X-ray machines have said of the study, and what of that has not come."""
    lists = (*steps.listed(tx, study), *commitments.listed(tx, study))
    listed = {one.sop_instance_uid for one in lists if one.sop_class_uid in _AWAITED}
    rows = tx.rows(
        "SELECT sop_instance_uid FROM instance WHERE sop_instance_uid IN (SELECT value FROM json_each(?))",
        (json.dumps(list(listed)),),
    )
    missing = listed - {str(row["sop_instance_uid"]) for row in rows}
    return Announced(steps.in_progress(tx, study), frozenset(listed), frozenset(missing))


def _first_result(tx: Tx, study: str, model_digest: str) -> float | None:
    """When the first result came since the study last settled: of a new film, or of an older one judged since."""
    row = tx.row(
        """
        SELECT min(r.analysed_at) AS first FROM result r
        JOIN instance i ON i.digest = r.instance_digest
        JOIN worklist_entry w ON w.study_instance_uid = i.study_instance_uid
        WHERE i.study_instance_uid = ? AND i.state = ? AND r.model_digest = ?
            AND (i.id > w.settled_instance OR r.analysed_at > w.settled_at)
        """,
        (study, InstanceState.CURRENT, model_digest),
    )
    return row["first"] if row else None
