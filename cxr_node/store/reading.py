"""What people do with worklist entries, each in the transaction of its caller, recorded with who and why."""

from cxr_node.domain import reading
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor, Entry
from cxr_node.domain.study import EntryState, Judging
from cxr_node.errors import Permanent
from cxr_node.message import Message
from cxr_node.store import asked, worklist
from cxr_node.store.db import Row, Tx

TIME_LIMIT = "time limit"


def claim(tx: Tx, study: str, actor: Actor, now: float) -> None:
    """The study is being read by `actor`; claiming it again changes nothing.

    Raises Permanent, here and below, as domain.reading says, and STUDY_UNKNOWN.
    """
    row = require_here(tx, study)
    reading.require_claimable(_entry(row), actor)
    if row["state"] != EntryState.READING:
        _set(tx, row, EntryState.READING, actor.name, now)
        worklist.record_move(tx, row, now, "claimed", actor, state=EntryState.READING)


def release(tx: Tx, study: str, actor: Actor, judging: Judging, now: float) -> None:
    """The study goes back to where its films put it, for others to read."""
    row = require_here(tx, study)
    reading.require_releasable(_entry(row), actor)
    _give_back(tx, row, "released", actor, now)
    worklist.refresh(tx, study, judging, now)


def mark_read(tx: Tx, study: str, actor: Actor, now: float, cause: str = "read") -> None:
    """The study leaves the list."""
    row = require_here(tx, study)
    reading.require_readable(_entry(row), actor)
    _close(tx, row, actor, cause, now)


def reopen(tx: Tx, study: str, actor: Actor, judging: Judging, now: float) -> None:
    """A study that was marked as read comes back to where it would stand."""
    row = require_here(tx, study)
    reading.require_read(_entry(row))
    _give_back(tx, row, "reopened", actor, now)
    worklist.refresh(tx, study, judging, now)


def reinstate(tx: Tx, study: str, actor: Actor, judging: Judging, now: float) -> None:
    """A study that was withdrawn comes back to where its films put it; who said so is told of by `study.released`."""
    tx.execute("UPDATE worklist_entry SET reason = NULL WHERE study_instance_uid = ?", (study,))
    _give_back(tx, require_here(tx, study), "reinstated", Actor(actor.name), now)
    worklist.refresh(tx, study, judging, now)


def reader(tx: Tx, study: str) -> str | None:
    """Who reads a study, or marked it as read."""
    found: str | None = require_here(tx, study)["reader"]
    return found


def prioritise(tx: Tx, study: str, priority: Priority | None, actor: Actor, now: float) -> str | None:
    """A person says how urgent a study is, or (None) that they say nothing; what was said before goes.

    Of a study of a site that is asked of the site, which is returned; None where it counts from now on.
    """
    row = _known(tx, study)
    if row["site"] is not None:
        asked.ask(tx, row, priority, actor, now)
        return str(row["site"])
    reading.require_listed(_entry(row))
    tx.execute("UPDATE worklist_entry SET priority = ? WHERE study_instance_uid = ?", (priority, study))
    worklist.record_move(tx, row, now, "priority", actor, priority=priority)
    return None


def close_old(tx: Tx, received_before: float, now: float) -> int:
    """Close as read what came before a time and is still open, but not what is held; how many studies.

    Nor does that close a study of which a film came since, or that a person claimed, gave back or reopened since.
    """
    rows = tx.rows(
        """
        SELECT * FROM worklist_entry w WHERE state NOT IN ('read', 'withdrawn') AND site IS NULL
            AND received_at < :before AND coalesce(state_since, 0) < :before AND NOT EXISTS (
            SELECT 1 FROM instance i WHERE i.study_instance_uid = w.study_instance_uid AND i.received_at >= :before)
        """,
        {"before": received_before},
    )
    old = [row for row in rows if row["state"] in reading.OPEN]
    for row in old:
        _close(tx, row, None, TIME_LIMIT, now)
    return len(old)


def _known(tx: Tx, study: str) -> Row:
    row = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ?", (study,))
    if row is None:
        raise Permanent("STUDY_UNKNOWN", "no film of this study has been received")
    return row


def require_here(tx: Tx, study: str) -> Row:
    """The entry of a study whose films are here. Raises Permanent: STUDY_UNKNOWN; AT_SITE, where it is a site's."""
    row = _known(tx, study)
    if row["site"] is not None:
        raise Permanent("AT_SITE", Message("the study is at {site}: it is claimed and read there", site=row["site"]))
    return row


def _entry(row: Row) -> Entry:
    return Entry(EntryState(row["state"]), row["reader"])


def _set(tx: Tx, row: Row, state: EntryState, reader: str | None, now: float) -> None:
    tx.execute(
        "UPDATE worklist_entry SET state = ?, reader = ?, state_since = ? WHERE study_instance_uid = ?",
        (state, reader, now, row["study_instance_uid"]),
    )


def _close(tx: Tx, row: Row, by: Actor | None, cause: str, now: float) -> None:
    _set(tx, row, EntryState.READ, by.name if by else None, now)
    worklist.record_move(tx, row, now, cause, by, state=EntryState.READ)


def _give_back(tx: Tx, row: Row, cause: str, actor: Actor, now: float) -> None:
    """The study stands again by what was concluded of its films, by whichever model."""
    concluded = EntryState.NOT_ANALYSED if row["reason"] else EntryState.WAITING
    state = concluded if row["probability"] is None else EntryState.ANALYSED
    _set(tx, row, state, None, now)
    worklist.record_move(tx, row, now, cause, actor, state=state)
