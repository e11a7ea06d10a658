"""What a hub has been told: how far in the trail of events, and which studies are to be told before that goes on."""

from dataclasses import dataclass
from typing import Any, Final

from cxr_node.store import events, settings
from cxr_node.store.db import Row, Tx
from cxr_node.store.kept import told

_NAME: Final = "hub"
_EVENTS: Final = 500
_SILENT: Final = ("document.*", "message.*", "commitment.*", "audit.*", "*.viewed", "export.*", "hub.*")
"""Events of a study that change nothing in the list."""
_OF_TOLD: Final = (
    "FROM event WHERE sequence > ? AND study_instance_uid IS NOT NULL "
    f"AND NOT ({' OR '.join('event GLOB ?' for _ in _SILENT)})"
)
_OF_OPEN: Final = "FROM worklist_entry WHERE state NOT IN ('read', 'withdrawn') AND site IS NULL"


@dataclass(frozen=True, slots=True)
class Next:
    """Studies to tell of, in the order in which something happened to them.

    How far the hub had been told `before`, and is `then`, when it has been told of these.
    """

    studies: list[str]
    before: dict[str, Any] | None
    then: dict[str, Any]


def next_up(tx: Tx, limit: int) -> Next | None:
    """None where the hub knows all. Who has told it nothing begins with what is open, in the order of arrival."""
    before = settings.get(tx, _NAME, None)
    known = before or {"after": events.last(tx), "left": _open(tx)}
    left: list[str] = known["left"]
    if left:
        return Next(left[:limit], before, {"after": known["after"], "left": left[limit:]})
    rows = tx.rows(
        f"SELECT sequence, study_instance_uid AS study {_OF_TOLD} ORDER BY sequence LIMIT ?",
        (known["after"], *_SILENT, _EVENTS),
    )
    studies = list(dict.fromkeys(str(row["study"]) for row in rows))
    if not studies:
        return None
    return Next(studies[:limit], before, {"after": int(rows[-1]["sequence"]), "left": studies[limit:]})


def reached(tx: Tx, found: Next) -> None:
    """The hub has been told of them; if it is to be told all anew since, it still is."""
    if settings.get(tx, _NAME, None) == found.before:
        settings.put(tx, _NAME, found.then)


def begin_again(tx: Tx) -> int:
    """Tell of everything that is open anew, since the hub has lost it; how many studies."""
    studies = _open(tx)
    settings.put(tx, _NAME, {"after": events.last(tx), "left": studies})
    return len(studies)


def behind(tx: Tx, now: float) -> tuple[int, float]:
    """Of how many studies the hub is still to be told, and for how long, in seconds, what comes next has waited."""
    known = settings.get(tx, _NAME, None)
    if known is None:
        row = tx.row(f"SELECT count(*) AS n, min(received_at) AS since {_OF_OPEN}")
    else:
        row = tx.row(
            f"SELECT count(DISTINCT study_instance_uid) AS n, min(time) AS since {_OF_TOLD}",
            (known["after"], *_SILENT),
        )
    count, since = (row["n"], row["since"]) if row else (0, None)
    left = len(known["left"]) if known else 0
    if left:
        before = tx.row("SELECT time FROM event WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1", (known["after"],))
        since = before["time"] if before else since
    return left + int(count), max(0.0, now - since) if left + int(count) and since is not None else 0.0


def entry_of(tx: Tx, study: str) -> Row | None:
    """How a study of this node stands in the list."""
    row = tx.row("SELECT * FROM worklist_entry WHERE study_instance_uid = ? AND site IS NULL", (study,))
    if row is None:
        return None
    reason = told(row["reason"], row["reason_message"])
    return row | {"reason": None if reason is None else str(reason), "positive": int(bool(row["positive"]))}


def workitems_of(tx: Tx, study: str) -> list[Row]:
    """The last two workitems that the node made for it: the one before the last may have ended since."""
    rows = tx.rows(
        "SELECT * FROM workitem WHERE study_instance_uid = ? AND creator IS NULL ORDER BY sequence DESC LIMIT 2",
        (study,),
    )
    return rows[::-1]


def _open(tx: Tx) -> list[str]:
    rows = tx.rows(f"SELECT study_instance_uid AS study {_OF_OPEN} ORDER BY received_at, study_instance_uid")
    return [str(row["study"]) for row in rows]
