"""A node and its hub, a hub and its sites: whether they hear of each other; part of `status`, and of the upkeep."""

from dataclasses import dataclass
from typing import Any, Final

from cxr_node.config import Config
from cxr_node.dicomweb.workitems import Workitems
from cxr_node.domain.clock import iso
from cxr_node.domain.job import NewJob
from cxr_node.errors import Transient
from cxr_node.store import hub, jobs, sites
from cxr_node.store.db import Store, Tx

INFORM: Final = NewJob("inform", "hub")
SILENT_SECONDS: Final = 300.0
"""A site that is there looks every few seconds for what is asked of it, which is remembered once a minute."""


@dataclass
class HubWatch:
    """Looks at the hub again and again: it does not call, since hospitals let nobody in.

    `there`: whether it answered last.
    """

    store: Store
    at: Workitems
    there: bool = False

    def look(self, now: float) -> bool:
        """Whether there is something to do: it asks, or it is back, and need not be waited for any longer.

        That it answered is kept.
        """
        try:
            asked = self.at.asked()
        except Transient:
            self.there = False
            return False
        with self.store.transaction() as tx:
            sites.reached(tx, now)
            asks = any(hub.entry_of(tx, study) for study in asked)  # not of what this node has lost
            if asks:
                jobs.enqueue_unless_open(tx, [INFORM], now)
            if back := not self.there:
                jobs.hasten(tx, INFORM)
        self.there = True
        return back or asks


def region_of(config: Config, store: Store, now: float) -> dict[str, Any]:
    """Keys of `status --json`: `hub`, which is None where this node tells none, and `sites`."""
    with store.reading() as tx:
        told = _hub(tx, now) if config.hub.url and config.node.mode != "shadow" else None
        heard = {name: (sites.heard_at(tx, name), sites.counts(tx, name)) for name in config.hub.sites}
    return {
        "hub": told,
        "sites": [
            {
                "name": name,
                "heard_at": iso(at) if at else None,
                "silent": at is None or now - at > SILENT_SECONDS,
                **counts,
            }
            for name, (at, counts) in heard.items()
        ],
    }


def _hub(tx: Tx, now: float) -> dict[str, Any]:
    (studies, seconds), reached = hub.behind(tx, now), sites.reached_at(tx)
    return {"reached_at": iso(reached) if reached else None, "behind": studies, "behind_seconds": seconds}
