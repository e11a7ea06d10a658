"""What an operator looks at first: what came last, what failed, and what was kept aside."""

from cxr_node.domain.job import Job
from cxr_node.store import subjects
from cxr_node.store.db import Row, Tx
from cxr_node.store.kept import told
from cxr_node.store.served import SERVED


def newest_studies(tx: Tx, limit: int) -> list[Row]:
    """What became of the studies that came last, the newest first."""
    return tx.rows(
        "SELECT study_instance_uid, state, tier, received_at FROM worklist_entry ORDER BY received_at DESC LIMIT ?",
        (limit,),
    )


def failed_jobs(tx: Tx, limit: int) -> list[Row]:
    """The newest dead letters: kind, study (or the bare subject where that is not known), code, error and when."""
    rows = tx.rows("SELECT * FROM job WHERE state = 'failed' ORDER BY changed_at DESC, id DESC LIMIT ?", (limit,))
    return [
        {
            "kind": row["kind"],
            "study": subjects.study_of(tx, Job(**{name: row[name] for name in Job.__slots__})),
            "subject": row["subject"],
            "code": row["error_code"],
            "error": told(row["error"], row["error_message"]),
            "failed_at": row["changed_at"],
        }
        for row in rows
    ]


def kept_aside(tx: Tx) -> dict[str, int]:
    """How often something came that a person has to look at: objects that could not be filed, films in dispute."""
    row = tx.row(
        """
        SELECT count(*) FILTER (WHERE event = 'object.quarantined') AS objects,
            count(*) FILTER (WHERE event = 'instance.quarantined') AS films
        FROM event WHERE event IN ('object.quarantined', 'instance.quarantined')
        """
    )
    return {"objects": row["objects"], "films": row["films"]} if row else {}


def entry_states(tx: Tx) -> dict[str, int]:
    """How many studies there are in each state."""
    rows = tx.rows("SELECT state, count(*) AS n FROM worklist_entry GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


def analysis_seconds(tx: Tx, limit: int) -> list[float]:
    """Of the newest films that were analysed: how long after their receipt a model in service first judged them."""
    rows = tx.rows(
        f"""
        SELECT min(r.analysed_at) - i.received_at AS seconds FROM instance i
        JOIN result r ON r.instance_digest = i.digest AND {SERVED} GROUP BY i.id ORDER BY i.id DESC LIMIT ?
        """,  # noqa: S608 - a constant condition
        (limit,),
    )
    return [row["seconds"] for row in rows]


def oldest_pending(tx: Tx) -> dict[str, float]:
    """By destination: when the oldest document was written that has not left for it.

    CROSS JOIN has SQLite begin with what has not left, and not with every document that there is.
    """
    rows = tx.rows(
        """
        SELECT v.destination, min(d.written_at) AS oldest FROM delivery v
        CROSS JOIN document d ON d.sop_instance_uid = v.sop_instance_uid WHERE v.sent_at IS NULL GROUP BY v.destination
        """
    )
    return {row["destination"]: float(row["oldest"]) for row in rows}
