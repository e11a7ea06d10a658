"""What a person at a hub asks for a study of a site: kept at the hub until the site answers, and at the site since.

The site decides. What it has decided itself has a number, the hub asks over the number that it knew, and where that is
not the last one any more, what was asked is not given: nobody at the hub overrules what they have not seen.
"""

from collections.abc import Mapping
from typing import Any, Final

from cxr_node.domain import reading, region
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor, Entry
from cxr_node.domain.region import Asked, Decided, Outcome
from cxr_node.domain.study import EntryState
from cxr_node.domain.uid import UUID_ROOT, derive_uid
from cxr_node.store import events, workitems, worklist
from cxr_node.store.db import Row, Tx

CAUSE: Final = "hub"
_CLOSED: Final = (EntryState.READ, EntryState.WITHDRAWN)
_OWN: Final = ("priority", "order")
"""Causes of moves that are decisions at the site: a person's, the RIS's. What a film says of itself is none."""


def ask(tx: Tx, row: Row, priority: Priority | None, actor: Actor, now: float) -> None:
    """At a hub: ask the site of an entry for a priority, instead of what was asked before.

    Raises Permanent as `reading.prioritise`.
    """
    reading.require_listed(Entry(EntryState(row["state"]), row["reader"]))
    study = row["study_instance_uid"]
    uid = derive_uid(UUID_ROOT, ["asked", study, str(priority), actor.name, repr(now)])
    over = region.decided(_said(tx, study, row["site"])).number
    _keep(tx, study, Asked(uid, priority, actor.name[:64], now, over), None)
    whence = {} if actor.address is None else {"address": actor.address}
    events.append(
        tx, now, "worklist.asked", study,
        by=actor.name, site=row["site"], priority=priority, **whence, **worklist.whose(tx, study),
    )  # fmt: skip


def of_site(tx: Tx, site: str) -> list[Row]:
    """At a hub: the newest workitem, as `workitems.of_uid`, of each study of a site for which something is asked.

    CROSS JOIN has SQLite begin with what is asked, and not with every workitem that there is.
    """
    rows = tx.rows(
        """
        SELECT max(w.sequence) AS sequence FROM asked a CROSS JOIN worklist_entry e USING (study_instance_uid)
        CROSS JOIN workitem w USING (study_instance_uid)
        WHERE a.outcome IS NULL AND e.site = :site AND w.creator = :site GROUP BY study_instance_uid
        """,
        {"site": site},
    )
    return list(workitems.of_sequence(tx, [row["sequence"] for row in rows]).values())


def answered(tx: Tx, study: str, decided: Decided, state: EntryState) -> Outcome | None:
    """At a hub: the site has told how a study stands; the outcome of what was asked, if that answers it.

    A workitem that is over takes no answer any more (PS3.4 CC.2.6.3): that the study has left the list is one.
    """
    row = tx.row("SELECT uid FROM asked WHERE study_instance_uid = ? AND outcome IS NULL", (study,))
    if row is None:
        return None
    outcome = decided.outcome if decided.asked == row["uid"] else Outcome.CLOSED if state in _CLOSED else None
    tx.execute("UPDATE asked SET outcome = ? WHERE study_instance_uid = ?", (outcome, study))
    return outcome


def decided(tx: Tx, study: str) -> Decided:
    """At a site: what it has decided of a study, and answered."""
    row = tx.row(
        f"""
        SELECT max(sequence) AS n FROM event WHERE study_instance_uid = ? AND event = 'worklist.moved'
            AND json_extract(detail, '$.cause') IN ({", ".join("?" for _ in _OWN)})
            AND json_extract(detail, '$.before.priority') IS NOT json_extract(detail, '$.after.priority')
        """,  # noqa: S608 - the only variable part is the number of marks
        (study, *_OWN),
    )
    number = int(row["n"] or 0) if row else 0
    known = tx.row("SELECT uid, outcome FROM asked WHERE study_instance_uid = ?", (study,))
    if known is None or known["outcome"] is None:
        return Decided(number)
    return Decided(number, known["uid"], Outcome(known["outcome"]))


def known(tx: Tx, asked: Mapping[str, Asked]) -> list[str]:
    """At a site: the studies, of those that something is asked for, of which it has been answered already."""
    return [study for study, one in asked.items() if decided(tx, study).asked == one.uid]


def heed(tx: Tx, study: str, asked: Asked, now: float) -> None:
    """At a site: give what is asked, once, or say why not; of a study that is not here nothing is given."""
    row = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ? AND site IS NULL", (study,))
    if row is None or decided(tx, study).asked == asked.uid:
        return
    outcome = _outcome(tx, row, asked)
    _keep(tx, study, asked, outcome)
    by = f"{asked.by} (hub)"
    if outcome is Outcome.GIVEN:
        tx.execute("UPDATE worklist_entry SET priority = ? WHERE study_instance_uid = ?", (asked.priority, study))
        worklist.record_move(tx, row, now, CAUSE, Actor(by), priority=asked.priority)
    events.append(
        tx, now, "worklist.answered", study,
        by=by, asked_at=asked.at, priority=asked.priority, outcome=outcome, **worklist.whose(tx, study),
    )  # fmt: skip


def _outcome(tx: Tx, row: Row, asked: Asked) -> Outcome:
    if row["state"] in _CLOSED:
        return Outcome.CLOSED
    stands = row["priority"] == asked.priority or decided(tx, row["study_instance_uid"]).number == asked.over
    return Outcome.GIVEN if stands else Outcome.DECIDED


def _keep(tx: Tx, study: str, asked: Asked, outcome: Outcome | None) -> None:
    tx.execute(
        "INSERT OR REPLACE INTO asked (study_instance_uid, uid, priority, asked_by, asked_at, over, outcome) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (study, asked.uid, asked.priority, asked.by, asked.at, asked.over, outcome),
    )


def _said(tx: Tx, study: str, site: str) -> dict[str, Any]:
    """What the site has said of the study last."""
    row = tx.row(
        "SELECT said FROM workitem WHERE study_instance_uid = ? AND creator = ? ORDER BY sequence DESC LIMIT 1",
        (study, site),
    )
    return workitems.said_of(row) if row else {}
