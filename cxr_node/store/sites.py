"""The sites of a hub: when each was last heard of, and what there is of it; and when a site last reached its hub."""

from typing import Any, Final

from cxr_node.store import settings
from cxr_node.store.db import Tx

_HEARD: Final = "heard/"
_REACHED: Final = "hub_reached"


def heard(tx: Tx, site: str, now: float) -> None:
    settings.put(tx, _HEARD + site, now)


def heard_at(tx: Tx, site: str) -> float | None:
    """None: never."""
    found: float | None = settings.get(tx, _HEARD + site, None)
    return found


def reached(tx: Tx, now: float) -> None:
    """At a site: its hub has answered."""
    settings.put(tx, _REACHED, now)


def reached_at(tx: Tx) -> float | None:
    """None: never."""
    found: float | None = settings.get(tx, _REACHED, None)
    return found


def counts(tx: Tx, site: str) -> dict[str, Any]:
    """How many of a site's studies are `open`, and for how many of them something is `asked` without an answer yet."""
    row = tx.row(
        """
        SELECT count(*) AS open, count(a.uid) AS asked FROM worklist_entry e
        LEFT JOIN asked a ON a.study_instance_uid = e.study_instance_uid AND a.outcome IS NULL
        WHERE e.site = ? AND e.state NOT IN ('read', 'withdrawn')
        """,
        (site,),
    )
    return dict(row) if row else {"open": 0, "asked": 0}
