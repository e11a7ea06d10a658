"""What the process `work` is made of: it makes and sends documents and messages, and asks others."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any

from cxr_node import messaging, reaching
from cxr_node.dimse import commitment, orders, studies, workitems
from cxr_node.dimse.courier import Courier
from cxr_node.documents import SOP_CLASSES
from cxr_node.domain.uid import UUID_ROOT
from cxr_node.hl7 import mllp
from cxr_node.plan import Plan, modalities_of
from cxr_node.profiles import profile_of
from cxr_node.stages.assembly import Desk
from cxr_node.store import jobs
from cxr_node.store.db import Store
from cxr_node.worker import Lane
from cxr_node.workstations import asking, hub_of, pacs_of, ris_of, subscribers_of

ASKED_TOGETHER = 50
"""How many documents stand in one request for commitment."""
_DRAWING_PAUSES = (0.01,) * 100  # as long as drawing takes on a busy machine
_SUBSCRIBER_LANES = 8  # so that a few that do not answer do not hold up the others


def values(
    plan: Plan, store: Store, common: Mapping[str, Any], courier: Courier, guard: Callable[[], None]
) -> dict[str, Any]:
    """What its stages are made of, beside what is `common` to all roles; `courier` brings documents to destinations.

    `guard` is called in the moment before something leaves: it does not return where another node works now.
    """

    def guarded(send: Callable[..., Any]) -> Callable[..., Any]:
        def sending(*arguments: Any) -> Any:
            guard()
            return send(*arguments)

        return sending

    config, calling = plan.config, plan.config.node.ae_title
    profiles = {str(mode): profile_of(plan, mode) for mode in plan.routes()}
    destinations = {str(mode): names for mode, names in plan.routes().items()}
    ledger = plan.ledger(store)
    return {
        **common,
        "desk": Desk(
            store, common["spool"], profiles, destinations, plan.tastes(), plan.next_documents(),
            config.receive.charset_override, bool(config.report.key_objects), common["clock"],
            _DRAWING_PAUSES,
        ),
        "further": plan.consulting(),
        "first_document": plan.first_documents(),
        "tastes": plan.tastes(),
        "companions": plan.companions(),
        "key_objects": bool(config.report.key_objects),
        "promoted_alone": config.report.key_objects == "promoted",
        "notes": config.noted,
        "peers": plan.peers(),
        "send": guarded(lambda peer, path: reaching.send(peer, courier, path)),
        "has": (lambda peer, one: reaching.has(peer, calling, one, ledger.queried)) if config.pair.name else None,
        "accepted": lambda peer, classes: reaching.accepted(peer, calling, classes),
        "terms": plan.terms(),
        "inquire": lambda peer, references, asking: reaching.inquire(
            peer, calling, references, ledger.queried, asking
        ),
        "reported": ledger.reported,
        "new_uid": lambda: f"{UUID_ROOT}.{uuid.uuid4().int}",
        "archive": plan.archive(),
        "patience": config.receive.commitment_wait_seconds,
        "modalities": modalities_of(config),
        "informed": messaging.informed(config),
        "recipients": messaging.recipients(config),
        "ours": messaging.ours(config),
        "profile": profile_of(plan, config.node.mode),
        "device": messaging.device(config),
        "charsets": config.receive.charset_override,
        "told": messaging.peers(config),
        "on_error": messaging.on_error(config),
        "exchange": guarded(mllp.exchange),
        "notify": guarded(lambda peer, uid, outcomes: commitment.notify(peer, calling, uid, outcomes)),
        "subscribers": subscribers_of(config),
        "hub": hub_of(config, guard),
        "ris": ris_of(config),
        "pacs": pacs_of(config),
        "look_up_study": lambda peer, *query: studies.look_up(peer, calling, *query),
        "look_up": lambda peer, accession, queried: orders.look_up(peer, calling, accession, queried),
        "tell": guarded(lambda peer, reports: workitems.tell(peer, calling, map(astuple, reports))),
    }  # fmt: skip


def courier_of(plan: Plan) -> Courier:
    """Who brings documents to destinations."""
    return Courier(plan.config.node.ae_title, SOP_CLASSES)


def lanes(plan: Plan, store: Store) -> list[Lane]:
    """Documents, and for each destination sending and asking, so that none waits for another."""
    with store.reading() as tx:  # jobs of a destination that is gone fail, and say so
        known = {"deliver": plan.peers(), "commit": plan.peers(), "transmit": messaging.peers(plan.config)}
        names = {kind: [*known[kind], *sorted(jobs.targets(tx, kind) - set(known[kind]))] for kind in known}
        answering = plan.archive() or jobs.targets(tx, "confirm") or jobs.targets(tx, "notify")
        informing = plan.config.hub.url or jobs.targets(tx, "inform")
        telling = plan.config.subscriber or jobs.targets(tx, "tell")
        asked = [kind for kind in ("lookup", "crosscheck") if kind in asking(plan.config) or jobs.targets(tx, kind)]
    found = [Lane("documents", ("settle", "announce", "report", "heatmap", "companions", "key_objects", "reject"))]
    found += [Lane(f"{kind} {name}", (kind,), target=name) for kind in names for name in names[kind]]
    if answering:
        found.append(Lane("modalities", ("confirm", "notify")))
    found += [Lane(kind, (kind,)) for kind in (*asked, *(["inform"] if informing else []))]
    if telling:
        found += [Lane(f"subscribers {number}", ("tell",)) for number in range(_SUBSCRIBER_LANES)]
    return found
