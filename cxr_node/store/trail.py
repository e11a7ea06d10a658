"""The audit trail as a whole: whether it is intact, what was removed from its beginning, and what has been exported.

Each row is sealed with the hash of the row before it, so what is changed, inserted or removed within the trail is
found. Rows that were removed at its end are found where they had been exported. Against somebody who writes the whole
trail anew only an exported copy helps.
"""

import hmac
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cxr_node.errors import Permanent
from cxr_node.store import events
from cxr_node.store.db import Row, Tx

_PAGE = 5000
_BEFORE_ALL = -(2**63)  # numbers begin at 1; what stands before was put there
_TRUNCATED = "audit.truncated"

Seal = Literal["none", "valid", "invalid", "unchecked"]


@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed from the beginning: rows up to sequence number `through`, whose hash was `hash`.

    `count` and `first_time` are of everything removed so far; times are seconds since 1970 UTC. `by` did it at `at`.
    """

    through: int
    hash: str
    count: int
    first_time: float
    last_time: float
    by: str
    at: float

    def seal(self, key: bytes) -> str:
        return hmac.digest(key, json.dumps(asdict(self), sort_keys=True).encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `seal` is that of the removal: `unchecked` without its key. `head`: the hash of the last row.

    `broken` is the sequence number at which the trail is first not as it was written, None where it is intact.
    """

    events: int
    first: int | None
    last: int | None
    head: str
    removed: dict[str, Any] | None
    seal: Seal
    broken: int | None
    meaning: str


def verify(tx: Tx, key: bytes | None) -> Verification:
    """Look at every row, at what was removed before the first, and at what had been exported."""
    removed = _last_removal(tx)
    seal = _judged(removed, key)
    count, first, (last, head) = 0, None, _beginning(removed)
    fault = _forged(removed) if seal == "invalid" else None
    for row in _rows(tx):
        first = first or int(row["sequence"])
        if fault is None or fault[0] > row["sequence"]:
            fault = _fault(row, last, head) or fault
        count, last, head = count + 1, int(row["sequence"]), row["hash"]
    fault = fault or _lost_end(tx, last)
    return Verification(
        events=count,
        first=first,
        last=last if count else None,
        head=head,
        removed=asdict(removed[1]) if removed else None,
        seal=seal,
        broken=fault[0] if fault else None,
        meaning=f"event {fault[0]}: {fault[1]}" if fault else "no event was changed, inserted or removed",
    )


def broken_in_tail(tx: Tx, rows: int) -> int | None:
    """The first of the newest `rows` rows that is not as it was written, or None: a look that costs little."""
    mark = tx.row("SELECT sequence, hash FROM event ORDER BY sequence DESC LIMIT 1 OFFSET ?", (rows,))
    last, head = (int(mark["sequence"]), mark["hash"]) if mark else _beginning(_last_removal(tx))
    for row in _rows(tx, after=last if mark else _BEFORE_ALL):
        if fault := _fault(row, last, head):
            return fault[0]
        last, head = int(row["sequence"]), row["hash"]
    return None


def truncate(tx: Tx, before: float, key: bytes, *, by: str, now: float, targets: Collection[str]) -> Removal | None:
    """Remove the rows that are older than `before`, and seal in a new one what they were; None when there are none.

    The rows since the node last started stay, because what it shows of itself is read from them. The trail must be
    intact. Raises Permanent("AUDIT_UNSENT") when one of the `targets` has not got all of those rows.
    """
    last = _last_before(tx, before)
    if last is None:
        return None
    if behind := sorted(target for target in targets if (cursor(tx, target) or 0) < last["sequence"]):
        raise Permanent(
            "AUDIT_UNSENT", f"not all of these events have been exported to {', '.join(behind)}; nothing was removed"
        )
    (found,) = tx.rows(
        "SELECT count(*) AS n, min(time) AS first, max(time) AS last FROM event WHERE sequence <= ?",
        (last["sequence"],),
    )
    earlier = _last_removal(tx)
    removal = Removal(
        through=int(last["sequence"]),
        hash=last["hash"],
        count=found["n"] + (earlier[1].count if earlier else 0),
        first_time=earlier[1].first_time if earlier else found["first"],
        last_time=found["last"],
        by=by,
        at=now,
    )
    events.append(tx, now, _TRUNCATED, None, **asdict(removal), seal=removal.seal(key))
    tx.execute("DELETE FROM event WHERE sequence <= ?", (removal.through,))
    return removal


def _last_before(tx: Tx, before: float) -> Row | None:
    """The last of the rows at the beginning that are all older than `before` and than the node's last start."""
    return tx.row(
        """
        SELECT sequence, hash FROM event WHERE sequence < (
            SELECT min(sequence) FROM event WHERE time >= ? OR sequence >= coalesce(
                (SELECT max(sequence) FROM event WHERE event = 'node.started'), 0)
        ) ORDER BY sequence DESC LIMIT 1
        """,
        (before,),
    )


def cursor(tx: Tx, target: str) -> int | None:
    """The sequence number up to which events have been exported to a target; None before the first."""
    row = tx.row("SELECT sequence FROM audit_cursor WHERE target = ?", (target,))
    return int(row["sequence"]) if row else None


def advance(tx: Tx, target: str, row: Row) -> None:
    """The events up to `row` have been exported to a target."""
    tx.execute("INSERT OR REPLACE INTO audit_cursor VALUES (?, ?, ?)", (target, row["sequence"], row["hash"]))


def unsent(tx: Tx, target: str) -> int:
    """How many events have not been exported to a target."""
    row = tx.row("SELECT count(*) AS n FROM event WHERE sequence > ?", (cursor(tx, target) or 0,))
    return int(row["n"]) if row else 0


def _rows(tx: Tx, after: int = _BEFORE_ALL) -> Iterator[Row]:
    while page := events.page(tx, after, _PAGE):
        yield from page
        after = int(page[-1]["sequence"])


def _fault(row: Row, last: int, head: str) -> tuple[int, str] | None:
    """At which event the trail breaks between a row and what stands before it, and what that means."""
    expected, sequence = last + 1, int(row["sequence"])
    if sequence > expected:
        return expected, f"it is missing, and so is every one up to event {sequence - 1}"
    if sequence < expected:
        return sequence, "it was removed, and stands here again"
    seal = events.seal_of(head, row["time"], row["study_instance_uid"], row["event"], row["detail"])
    return (sequence, "it was changed, or what stands before it was") if seal != row["hash"] else None


def _lost_end(tx: Tx, last: int) -> tuple[int, str] | None:
    """Events that had been exported, and are not there any more or are others."""
    for mark in tx.rows("SELECT * FROM audit_cursor ORDER BY sequence"):
        sequence = int(mark["sequence"])
        if sequence > last:
            return last + 1, f"it is missing at the end: events up to {sequence} had been exported to {mark['target']}"
        there = tx.row("SELECT hash FROM event WHERE sequence = ?", (sequence,))
        if there and there["hash"] != mark["hash"]:
            return sequence, f"another event was exported to {mark['target']} under this number"
    return None


def _last_removal(tx: Tx) -> tuple[Row, Removal] | None:
    """The newest row that seals a removal, and what it says; a row that says nothing of the kind seals nothing."""
    row = tx.row("SELECT * FROM event WHERE event = ? ORDER BY sequence DESC LIMIT 1", (_TRUNCATED,))
    try:
        detail = json.loads(row["detail"]) if row else {}
        return (row, Removal(**{name: detail[name] for name in Removal.__slots__})) if row else None
    except (ValueError, KeyError):
        return None


def _beginning(removed: tuple[Row, Removal] | None) -> tuple[int, str]:
    """The sequence number and the hash that the first row follows."""
    return (removed[1].through, removed[1].hash) if removed else (0, "")


def _judged(removed: tuple[Row, Removal] | None, key: bytes | None) -> Seal:
    if removed is None:
        return "none"
    if key is None:
        return "unchecked"
    row, removal = removed
    said = str(json.loads(row["detail"]).get("seal"))
    return "valid" if hmac.compare_digest(removal.seal(key), said) else "invalid"


def _forged(removed: tuple[Row, Removal] | None) -> tuple[int, str] | None:
    return (
        (int(removed[0]["sequence"]), "its seal does not fit the key, so what it says was removed is not proved")
        if removed
        else None
    )
