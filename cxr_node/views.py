"""What people and scripts ask of a node's state, from its database: shapes of `--json`."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cxr_node import auditing, keys, messaging, reaching
from cxr_node.config import Config
from cxr_node.domain.clock import iso
from cxr_node.domain.pseudonym import is_study_pseudonym
from cxr_node.errors import Transient
from cxr_node.hl7 import mllp
from cxr_node.hl7.outbound import KINDS
from cxr_node.inference.manifest import Manifest
from cxr_node.message import Message
from cxr_node.plan import Plan, peers_of, policy_of, spool_of
from cxr_node.standing import standing
from cxr_node.store import (
    commitments,
    doubts,
    events,
    jobs,
    messages,
    overview,
    report_classes,
    results,
    revisions,
    steps,
    studies,
    trail,
    worklist,
)
from cxr_node.store.db import Store, Tx
from cxr_node.store.worklist import Placed

_STUDIES_SHOWN = 5
_FAILED_SHOWN = 10
_LISTENS = "0A"
"""TCP_LISTEN in the kernel's table of connections."""


def readiness(config: Config, store: Store) -> dict[str, Any]:
    """Whether the node takes films and analyses them."""
    with store.reading() as tx:
        inference = _process(tx, "infer")
    listening, analysing = answers(config), inference.get("event") == "infer.ready"
    return {"ready": listening and analysing, "listening": listening, "analysing": analysing}


def status(config: Config, store: Store, now: float, *, call: bool = True) -> dict[str, Any]:
    """Health, queues, the newest studies, dead letters and what was kept aside.

    `call`: destinations are called to see whether they answer; without, `reachable` is None.
    """
    plan = Plan.in_service(config)
    kinds = {each.name: each.message for each in config.worklist.hl7}
    with store.reading() as tx:
        queues = jobs.counts(tx)
        oldest = jobs.oldest_ready(tx, now)
        inference, pages, port = _process(tx, "infer"), _process(tx, "web"), _process(tx, "hl7")
        untold = messages.pending_by_destination(tx)
        missing = events.latest(tx, "spool.files_missing")
        oldest_of = overview.oldest_pending(tx)
        pending, kept = results.pending_by_destination(tx), commitments.open_by_destination(tx)
        wanted = {each.name: each.sr_class for each in config.destination}
        taken = {name: report_classes.accepted(tx, name, sr_class, now) for name, sr_class in wanted.items()}
        frozen = worklist.is_frozen(tx)
        newest, failed = overview.newest_studies(tx, _STUDIES_SHOWN), overview.failed_jobs(tx, _FAILED_SHOWN)
        aside = overview.kept_aside(tx)
        further = _beside(tx, "further", plan.further, plan.lineup.missing)
        shadows = _beside(tx, "shadow", plan.shadows, plan.lineup.absent)
        unsent = {target: trail.unsent(tx, target) for target in auditing.targets(config)}
    listening = answers(config)
    analysing = inference.get("event") == "infer.ready"
    return {
        "ready": listening and analysing,
        "listening": listening,
        "mode": config.node.mode,
        "frozen": frozen,
        "model": f"{plan.manifest.name} {plan.manifest.version}",
        "activated": {"by": plan.activation.by, "at": iso(plan.activation.at)} if plan.activation else None,
        "further": further,
        "shadow": shadows,
        "device": inference.get("device"),
        "inference": {
            "state": "ready" if analysing and listening else inference.get("state", "unavailable"),
            "reason": inference.get("reason") or inference.get("how"),
        },
        "web": _web(config, pages, listening=listening),
        "hl7": _hl7(config, port, listening=listening),
        "queues": queues,
        "oldest_ready_seconds": oldest,
        "dead_letters": sum(queue["failed"] for queue in queues.values()),
        "failed": _timed(failed),
        "quarantined": aside,
        "audit": [{"target": target, "unsent": count} for target, count in unsent.items()],
        "last_studies": _timed(newest),
        "missing_files": missing["count"] if missing else 0,
        "disk_free_bytes": spool_of(config).free_bytes() if config.node.data_dir.is_dir() else None,
        "destinations": [
            {
                "name": name,
                "reachable": reaching.reaches(peer, config.node.ae_title) is None if call else None,
                "sr_class": taken[name],
                "sr_class_wanted": wanted[name],
                "pending": pending.get(name, 0),
                "lag_seconds": max(0.0, now - oldest_of[name]) if name in oldest_of else 0.0,
                **kept.get(name, {"uncommitted": 0, "overdue": 0}),
            }
            for name, peer in peers_of(config).items()
        ],
        "messages": [
            {
                "name": name,
                "reachable": connects(peer) is None if call else None,
                "message": KINDS[kinds[name]],
                "pending": untold.get(name, 0),
            }
            for name, peer in messaging.peers(config).items()
        ],
        **standing(config, store, now),
    }


def _process(tx: Tx, role: str) -> dict[str, Any]:
    """The newest event of a child in this life of the node."""
    latest, started = events.latest(tx, f"{role}."), events.latest(tx, "node.started")
    if latest is None or (started and latest["time"] < started["time"]):
        return {"state": "loading", "reason": Message("the model is being loaded") if role == "infer" else None}
    return latest


def _web(config: Config, latest: dict[str, Any], *, listening: bool) -> dict[str, str | None]:
    """Whether the pages are to be had, and where; `latest` as `_process` gives it, `listening` whether a node runs."""
    web = config.web
    if not web.enabled:
        return {"state": "off", "reason": None, "address": None}
    ready = listening and latest.get("event") == "web.ready"
    host = f"[{web.host}]" if ":" in web.host else web.host
    return {
        "state": "ready" if ready else latest.get("state", "unavailable"),
        "reason": latest.get("reason") or latest.get("how"),
        "address": f"{'https' if web.certificate else 'http'}://{host}:{web.port}/",
    }


def _hl7(config: Config, latest: dict[str, Any], *, listening: bool) -> dict[str, str | None]:
    """Whether messages of the RIS are taken, and where; as `_web`."""
    hl7 = config.hl7
    if hl7.port is None:
        return {"state": "off", "reason": None, "address": None}
    ready = listening and latest.get("event") == "hl7.ready"
    return {
        "state": "ready" if ready else latest.get("state", "unavailable"),
        "reason": latest.get("reason") or latest.get("how"),
        "address": f"{hl7.host} port {hl7.port}{', TLS' if hl7.tls else ''}",
    }


def _beside(tx: Tx, role: str, models: Sequence[Manifest], absent: Mapping[str, str]) -> list[dict[str, Any]]:
    """The models beside the one in service in a role, and why one of them judges nothing."""
    loaded, latest = events.latest(tx, f"{role}.loaded"), events.latest(tx, f"{role}.")
    ended = latest is not None and latest["event"] in (f"{role}.died", f"{role}.unavailable")
    died = Message("its process died ({how})", how=latest.get("how")) if latest else None
    trouble = latest.get("reason") or died if latest and ended else None
    lacking = loaded["lacking"] if loaded else {}
    return [
        *({"model": each.called, "reason": lacking.get(each.called) or trouble} for each in models),
        *({"model": name, "reason": reason} for name, reason in absent.items()),
    ]


def answers(config: Config) -> bool:
    """Whether something takes connections where this node listens.

    The kernel knows (proc(5), net/tcp); to try it would take one of the places for associations each time.
    """
    wanted = f":{config.receive.port:04X}"
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError), Path("/proc/self/net", table).open() as lines:  # a machine may lack IPv6
            for line in lines:
                _, address, _, state, *_ = line.split()
                if state == _LISTENS and address.endswith(wanted):
                    return True
    return False


def connects(peer: mllp.Peer) -> str | None:
    """Why no connection with a RIS comes about; None when it does. Nothing is said to it."""
    try:
        mllp.reach(peer)
    except Transient as error:
        return error.message
    return None


def reading_order(config: Config, store: Store, now: float, *, closed: bool = False) -> list[dict[str, Any]]:
    """The worklist, first to be read first."""
    return worklist.in_order(places(config, store, now, closed=closed))


def places(
    config: Config, store: Store, now: float, *, closed: bool = False, only: Collection[str] | None = None
) -> list[Placed]:
    """Its entries in no order: of all studies, or of those that are named."""
    with store.reading() as tx:
        policy = policy_of(config, frozen=worklist.is_frozen(tx))
        found = worklist.placed(tx, policy, now, closed=closed, only=only)
    for _, entry in found:
        entry.update({key: iso(entry[key]) for key in ("received_at", "state_since") if entry[key] is not None})
        if entry["asked"]:
            entry["asked"] |= {"at": iso(entry["asked"]["at"])}
    return found


def study_meant(config: Config, store: Store, name: str) -> str:
    """The Study Instance UID of a study that may be named as in the log; any other name as it is."""
    if not is_study_pseudonym(name):
        return name
    pseudonyms = keys.pseudonyms(config.node.data_dir, create=False)
    with store.reading() as tx:
        known = (*studies.uids(tx), *studies.gathered_since(tx, 0)[0])
        return next((uid for uid in known if pseudonyms.study(uid) == name), name)


def study(store: Store, uid: str) -> dict[str, Any] | None:
    """One study: every instance, result, output, delivery and event; None when it is not known."""
    with store.reading() as tx:
        instances = studies.of_study(tx, uid)
        if not instances:
            return None
        revision = revisions.latest(tx, uid)
        found: dict[str, Any] = _timed(
            {
                "study_instance_uid": uid,
                "revision": revision.number if revision else 0,
                "state": worklist.state(tx, uid),
                "instances": [studies.summary(one) for one in instances],
                "results": results.of_study(tx, uid),
                "outputs": [
                    {
                        "kind": one.kind,
                        "mode": one.mode,
                        "revision": one.revision,
                        "sop_class_uid": one.sop_class_uid,
                        "sop_instance_uid": one.sop_instance_uid,
                        "series_instance_uid": one.series_instance_uid,
                        "path": one.path,
                    }
                    for one in results.documents(tx, uid)
                ],
                "deliveries": results.deliveries(tx, uid),
                "messages": messages.of_study(tx, uid),
                "said": doubts.said(tx, uid),
                "steps": steps.of_study(tx, uid),
                "events": events.of_study(tx, uid),
            }
        )
        return found


def _timed(value: Any) -> Any:
    """Times as ISO 8601, wherever they stand."""
    if isinstance(value, dict):
        return {
            key: iso(item) if (key == "time" or key.endswith("_at")) and isinstance(item, float) else _timed(item)
            for key, item in value.items()
        }
    return [_timed(item) for item in value] if isinstance(value, list) else value
