"""What time alone does to the worklist: studies become overdue, and the clock is set back under those that wait."""

import math
from typing import Final

from cxr_node.domain.priority import Policy, group
from cxr_node.store import events, worklist
from cxr_node.store.db import Tx

_CLOCK_STEP_SECONDS: Final = 60.0  # less may be the clock of another process, or the pace of NTP
_OPEN: Final = "SELECT * FROM worklist_entry WHERE state NOT IN ('read', 'withdrawn') AND received_at BETWEEN ? AND ?"
_TOLD: Final = "overdue told until"


def retime(tx: Tx, now: float) -> int:
    """Bring what is open and came in the future into the present, in its order; how many studies.

    They came before the clock was set back. As they stand they would be read behind all that comes until that time has
    come again, and would never be overdue. The last of them counts as having come now, the others as long before it
    as they did.
    """
    late = tx.rows(f"{_OPEN} AND site IS NULL", (now, math.inf))
    ahead = max((row["received_at"] - now for row in late), default=0.0)
    if ahead < _CLOCK_STEP_SECONDS:
        return 0
    for row in late:
        study, came = row["study_instance_uid"], row["received_at"] - ahead
        tx.execute("UPDATE worklist_entry SET received_at = ? WHERE study_instance_uid = ?", (came, study))
        events.append(tx, now, "worklist.retimed", study, was_at=row["received_at"], received_at=came)
    return len(late)


def tell_overdue(tx: Tx, policy: Policy, now: float) -> int:
    """Record which studies the maximum wait has moved forward since this was last called; how many.

    While the model moves nothing, neither does the maximum wait: what the kill switch has held back moves when it is
    released, which is an event of its own.
    """
    told = tx.row("SELECT value FROM setting WHERE name = ?", (_TOLD,))
    since = min(float(told["value"]), now) if told else now
    tx.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (_TOLD, repr(now)))
    moved = 0
    wait = policy.max_wait_seconds
    for row in tx.rows(_OPEN, (since - wait, now - wait)):
        place = worklist.place(row)
        was, stands = group(place, policy, since), group(place, policy, now)
        if was is not stands:
            known = {"before": was.name.lower(), "after": stands.name.lower()}
            events.append(tx, now, "worklist.overdue", place.study_instance_uid, **known)
            moved += 1
    return moved
