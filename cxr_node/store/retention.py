"""Which studies have nothing left to do here, so that their files may go."""

from dataclasses import dataclass
from typing import Final

from cxr_node.domain.instance import InstanceState
from cxr_node.store import events
from cxr_node.store.db import Row, Tx

_BUSY: Final = """
    WITH busy AS MATERIALIZED (
        SELECT subject FROM job WHERE state = 'ready' UNION SELECT subject FROM job WHERE state = 'running'
        UNION SELECT subject FROM job WHERE state = 'failed'
    )
"""
_UNDELIVERED: Final = """
    EXISTS (SELECT 1 FROM document d JOIN delivery v ON v.sop_instance_uid = d.sop_instance_uid
        WHERE d.study_instance_uid = s.study AND v.sent_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM job j WHERE j.kind = 'deliver' AND j.subject = d.sop_instance_uid
            AND j.target = v.destination AND j.state = 'skipped'))
"""
_AT_WORK: Final = """
    s.study IN busy
    OR EXISTS (SELECT 1 FROM instance n WHERE n.study_instance_uid = s.study
        AND (n.digest IN busy OR n.state IN ('comparing', 'quarantined')))
    OR EXISTS (SELECT 1 FROM document d WHERE d.study_instance_uid = s.study AND d.sop_instance_uid IN busy)
    OR EXISTS (SELECT 1 FROM message m WHERE m.study_instance_uid = s.study AND m.control_id IN busy)
"""
_OPEN: Final = """
    EXISTS (SELECT 1 FROM worklist_entry w WHERE w.study_instance_uid = s.study
        AND w.state NOT IN ('read', 'withdrawn'))
"""


@dataclass(frozen=True, slots=True)
class Old:
    """A study whose files are here, when its last film came, the bytes of its films, and why it has to stay, if so."""

    study: str
    last: float
    size: int
    kept_for: str | None


def oldest(tx: Tx, start: float, end: float, limit: int) -> list[Old]:
    """The studies whose last film came between two times and whose films are here, the oldest first."""
    rows = tx.rows(
        f"""
        {_BUSY} SELECT s.study, s.last, s.size,
            CASE WHEN {_UNDELIVERED} THEN 'delivery' WHEN {_AT_WORK} THEN 'work' WHEN {_OPEN} THEN 'open' END AS stays
        FROM (SELECT study_instance_uid AS study, max(received_at) AS last, sum(size) AS size FROM instance
            WHERE purged_at IS NULL GROUP BY study_instance_uid HAVING max(received_at) >= ? AND max(received_at) < ?) s
        ORDER BY s.last LIMIT ?
        """,  # noqa: S608 - constant conditions
        (start, end, limit),
    )
    return [_old(row) for row in rows]


def films_size(tx: Tx) -> int:
    """The bytes of all films that are here."""
    row = tx.row("SELECT coalesce(sum(size), 0) AS n FROM instance WHERE purged_at IS NULL")
    return int(row["n"]) if row else 0


@dataclass(frozen=True, slots=True)
class Given:
    """What is given up of a study: digests and paths of its films, and paths of its documents."""

    digests: list[str]
    films: list[str]
    documents: list[str]


def give_up(tx: Tx, study: str, now: float, *, reason: str, documents: bool) -> Given:
    """Record that the files of a study go, which the caller then removes; without `documents` those stay."""
    films = tx.rows("SELECT digest, path FROM instance WHERE study_instance_uid = ? AND purged_at IS NULL", (study,))
    written = tx.rows("SELECT path FROM document WHERE study_instance_uid = ?", (study,)) if documents else []
    tx.execute("UPDATE instance SET purged_at = ? WHERE study_instance_uid = ? AND purged_at IS NULL", (now, study))
    events.append(tx, now, "study.purged", study, reason=reason, films=len(films), documents=len(written))
    return Given([row["digest"] for row in films], [row["path"] for row in films], [row["path"] for row in written])


def states(tx: Tx) -> dict[str, int]:
    """How many films are here, and of how many only the record is left."""
    row = tx.row(
        "SELECT (SELECT count(*) FROM instance WHERE state = :current AND purged_at IS NULL) AS kept, "
        "(SELECT count(*) FROM instance WHERE state = :current AND purged_at IS NOT NULL) AS purged",
        {"current": InstanceState.CURRENT},
    )
    return {"kept": row["kept"], "purged": row["purged"]} if row else {"kept": 0, "purged": 0}


def _old(row: Row) -> Old:
    return Old(row["study"], float(row["last"]), int(row["size"]), row["stays"])
