"""A node and its hub, a hub and its sites: whether they hear of each other; part of `status`, and of the upkeep."""

from typing import Any, Final

from cxr_node.config import Config
from cxr_node.dicomweb.workitems import Workitems
from cxr_node.domain.clock import iso
from cxr_node.errors import Transient
from cxr_node.store import hub, sites
from cxr_node.store.db import Store, Tx

SILENT_SECONDS: Final = 300.0
"""A site that is there looks every few seconds for what is asked of it, which is remembered once a minute."""


def look_at_hub(store: Store, at: Workitems, now: float) -> bool:
    """Whether the hub asks for anything. It is looked for, since hospitals let nobody in; that it answered is kept."""
    try:
        asked = at.asked()
    except Transient:
        return False
    with store.transaction() as tx:
        sites.reached(tx, now)
    return bool(asked)


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
