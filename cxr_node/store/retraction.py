"""Documents that destinations have and that do not stand any more, and the notes that tell them so."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cxr_node.domain.instance import InstanceState
from cxr_node.domain.job import NewJob
from cxr_node.domain.study import EntryState
from cxr_node.store import identities, results, revisions, studies, tellings, worklist
from cxr_node.store.db import Tx
from cxr_node.store.messages import RETRACTION
from cxr_node.store.results import Written

_ON_ITS_WAY_SECONDS = 10.0
_HAS = """
    FROM delivery d JOIN document w USING (sop_instance_uid) WHERE w.study_instance_uid = :study AND w.kind != 'rn'
        AND d.rejected_by IS NULL AND (d.sent_at IS NOT NULL OR d.tried_at IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Retracted:
    """Documents of one revision and mode that a destination is to be told do not stand.

    `certain`: it has taken them; else it may have, since the node ended, or lost its work, while they were on their
    way.
    """

    revision: int
    mode: str
    certain: bool
    documents: Sequence[Written]


def tried(tx: Tx, sop_instance_uid: str, destination: str, now: float) -> bool:
    """The destination is about to be sent a document: from now on it may have it; whether that is so only now."""
    changed = tx.execute(
        "UPDATE delivery SET tried_at = ? WHERE sop_instance_uid = ? AND destination = ? AND tried_at IS NULL",
        (now, sop_instance_uid, destination),
    )
    return changed == 1


def not_taken(tx: Tx, sop_instance_uid: str, destination: str) -> None:
    """It is known that it has not."""
    tx.execute(
        "UPDATE delivery SET tried_at = NULL WHERE sop_instance_uid = ? AND destination = ?",
        (sop_instance_uid, destination),
    )


def due(tx: Tx, study: str, destinations: Collection[str], now: float) -> list[NewJob]:
    """The jobs that look whether a note is due, for those of the destinations that have, or may have, documents.

    What is on its way is to arrive before the note.
    """
    rows = tx.rows(f"SELECT d.destination, min(d.sent_at IS NOT NULL) AS certain {_HAS} GROUP BY d.destination",
                   {"study": study})  # fmt: skip
    wait = {row["destination"]: 0.0 if row["certain"] else now + _ON_ITS_WAY_SECONDS for row in rows}
    return [NewJob("reject", study, name, not_before=wait[name]) for name in sorted(wait.keys() & set(destinations))]


def outdated(tx: Tx, study: str, destination: str) -> list[Retracted]:
    """What a destination has of a study and should not: all of it when it is withdrawn, nothing while it is held.

    Else what rests on films that do not count any more, or says whose they are otherwise than it is known now.
    """
    state = worklist.state(tx, study)
    if state is EntryState.HELD:
        return []
    rows = tx.rows(
        f"SELECT w.sop_instance_uid, w.revision, w.mode, d.sent_at IS NOT NULL AS certain {_HAS} "
        "AND d.destination = :destination ORDER BY w.revision, w.mode, certain, w.written_at",
        {"study": study, "destination": destination},
    )
    found: dict[tuple[int, str, bool], list[Written]] = {}
    for row in rows:
        if state is EntryState.WITHDRAWN or not stands(tx, study, int(row["revision"])):
            document = results.document(tx, row["sop_instance_uid"])
            assert document is not None  # noqa: S101 - a delivery refers to it
            key = (int(row["revision"]), str(row["mode"]), bool(row["certain"]))
            found.setdefault(key, []).append(document)
    return [Retracted(*key, documents) for key, documents in found.items()]


def stands(tx: Tx, study: str, number: int) -> bool:
    """Whether a revision rests on films that count as they are, and says whose they are as it is known now."""
    found = revisions.numbered(tx, study, number)
    current = {
        one.arrival.header.sop_instance_uid: one.arrival.digest
        for one in studies.of_study(tx, study)
        if one.state is InstanceState.CURRENT
    }
    if found is None or not found.revision.images.items() <= current.items():
        return False
    return found.revision.identity == identities.stands(tx, study)


def untold(tx: Tx, study: str) -> list[NewJob]:
    """The jobs that tell each RIS that has a result of a study that it does not stand."""
    return [NewJob("announce", study, f"{RETRACTION}/{name}") for name in sorted(tellings.standing(tx, study))]


def is_void(tx: Tx, study: str) -> bool:
    """Whether nothing that was said of a study stands: it is withdrawn, or its report rests on what does not count."""
    state, latest = worklist.state(tx, study), revisions.latest(tx, study)
    if state is EntryState.HELD or latest is None:
        return False
    return state is EntryState.WITHDRAWN or not stands(tx, study, latest.number)


def reject(tx: Tx, documents: Collection[str], destination: str, note: str) -> None:
    """A note tells a destination that documents do not stand."""
    for uid in documents:
        tx.execute(
            "UPDATE delivery SET rejected_by = ? WHERE sop_instance_uid = ? AND destination = ?",
            (note, uid, destination),
        )


def is_rejected(tx: Tx, study: str, number: int) -> bool:
    """Whether a document of a revision was rejected by a note of ours, so that it cannot be sent again."""
    row = tx.row(
        "SELECT 1 FROM delivery JOIN document USING (sop_instance_uid) "
        "WHERE study_instance_uid = ? AND revision = ? AND rejected_by IS NOT NULL LIMIT 1",
        (study, number),
    )
    return row is not None


def since(tx: Tx, study: str) -> float:
    """When it last came out that something of a study does not stand as it was delivered (seconds since 1970 UTC)."""
    row = tx.row(
        """
        SELECT max(time) AS at FROM event WHERE study_instance_uid = ?
            AND event IN ('study.withdrawn', 'instance.rejected', 'instance.corrected', 'study.identified',
                'study.settled')
        """,
        (study,),
    )
    return float(row["at"]) if row and row["at"] is not None else worklist.received_at(tx, study)
