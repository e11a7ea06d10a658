"""At a hub: what is wanted of a site's workitems by others, and what the site itself comes to hear of that."""

from collections.abc import Iterator
from typing import Final

from cxr_node.domain import region, workitem
from cxr_node.domain.clock import Clock
from cxr_node.domain.dicom_json import Attributes, first, items
from cxr_node.domain.matching import matches
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor
from cxr_node.domain.workitem import Caller, Reply, State, Status
from cxr_node.errors import Permanent
from cxr_node.store import asked, events, reading, sites, worklist
from cxr_node.store.db import Row, Tx
from cxr_node.ups.looks import Looks
from cxr_node.ups.search import Search

_PRIORITY, _PARAMETERS = "00741200", "00741210"
_BESIDE: Final = frozenset({"00080005", "00081195"})
"""What may stand beside a priority: the character set, and the Transaction UID, which is judged by itself."""


def at_its_site() -> Reply:
    return Reply(Status.PROCESSING_FAILURE, "it is claimed and read at its site")


def ask(tx: Tx, row: Row, said: Attributes, caller: Caller, now: float) -> Reply:
    """N-SET by somebody else than the site: a priority is asked of it, and nothing else is taken (PS3.4 CC.2.6)."""
    if set(said) - _BESIDE != {_PRIORITY} or row["site"] is None:
        return at_its_site()
    if fault := workitem.fault_in_update(State(row["state"]), row["transaction_uid"], first(said, "00081195")):
        return Reply(fault)
    wished = workitem.wished_priority(said)
    if wished is None:
        return Reply(Status.INVALID_VALUE, "Priority (0074,1200) is HIGH, MEDIUM or LOW")
    study = row["study_instance_uid"]
    stands = Priority(row["priority"]) if row["priority"] else None
    try:
        reading.prioritise(tx, study, workitem.set_priority(stands, wished), Actor(caller.name), now)
    except Permanent as error:
        return Reply(Status.PROCESSING_FAILURE, error.message[:64])
    known = {"by": caller.name, "address": caller.address, "workitem": row["uid"], "attributes": [_PRIORITY]}
    events.append(tx, now, "workitem.changed", study, **known, **worklist.whose(tx, study))
    return Reply(Status.COERCED, f"it is asked of {row['site'][:32]}, and counts when given there")


def is_asking(query: Attributes) -> bool:
    """Whether a search is for what is asked of sites."""
    codes = (first(concept, "00080100") for item in items(query, _PARAMETERS) for concept in items(item, "0040A043"))
    return region.ASKED in codes


def found(search: Search, site: str, query: Attributes, looks: Looks, clock: Clock) -> Iterator[Attributes]:
    """What is asked of a site. That it looks shows that it is there, which is remembered once a minute."""
    now = clock()
    if looks.is_new(now, site, "heard"):
        with search.store.transaction() as tx:
            sites.heard(tx, site, now)
    with search.store.reading() as tx:
        every = [search.one(tx, row) for row in asked.of_site(tx, site)]
    return (each for each in every if matches(query, each))
