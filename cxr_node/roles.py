"""What the daemon's children do: `work` makes and sends documents, `infer` judges films."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from cxr_node import keys
from cxr_node.config import Config
from cxr_node.domain.uid import UUID_ROOT
from cxr_node.errors import CxrNodeError, Permanent
from cxr_node.link import Link, attend
from cxr_node.observe import log as logging
from cxr_node.pipeline import Role, assemble
from cxr_node.plan import Plan, modalities_of, open_store
from cxr_node.store import jobs
from cxr_node.store.db import Store
from cxr_node.worker import Bell, Lane, Worker

log = structlog.get_logger()

_HANGING_SECONDS = 180.0
_ORPHAN_GRACE_SECONDS = 20.0
_ASKED_TOGETHER = 50  # documents in one request for commitment


@dataclass(frozen=True, slots=True)
class Part:
    """What a role is made of: the values of its stages, its lanes, and how many jobs of a batched step it takes."""

    values: Mapping[str, Any]
    lanes: list[Lane]
    batch_size: int


def owner_of(role: str, pid: int) -> str:
    """Who holds a job's lease."""
    return f"{role}@{socket.gethostname()}:{pid}"


def run(role: Role, config: Config | None) -> int:
    """A child's whole life; its exit status. Without `config` the daemon sends it over the link."""
    link, model = Link.inherited(), None
    if config is None:
        model, config = configuration_of(link)
    logging.configure(config.log.level, config.log.format, role=role)
    life = _Life()
    if link:  # before the model is loaded, which takes its time: the daemon asks, and may end, meanwhile
        attend(link, on_wake=life.bell.ring, healthy=life.healthy, on_end=life.end)
    try:
        store = open_store(config, create=False)
        pseudonyms = keys.pseudonyms(config.node.data_dir, create=False)
        part = ROLES[role](plan_of(config, model), store)
    except CxrNodeError as error:
        log.error(f"{role}.unavailable", code=error.code, reason=error.message)
        if link:
            link.say("failed", error.code, error.message)
        return 1
    worker = Worker(
        store,
        assemble(role, part.values),
        owner_of(role, os.getpid()),
        wake=partial(_wake, link),
        batch_size=part.batch_size,
        bell=life.bell,
        stopping=life.stopping,
        beats=life.beats,
        pseudonym=pseudonyms.study,
    )
    _live(worker, part.lanes, link, role, device=str(getattr(part.values.get("predictor"), "device", "cpu")))
    return 0


@dataclass(frozen=True, slots=True)
class _Life:
    """What the daemon may ask of a child, and tell it, from its first moment on."""

    bell: Bell = field(default_factory=Bell)
    stopping: threading.Event = field(default_factory=threading.Event)
    beats: dict[str, float] = field(default_factory=lambda: {"loading": time.monotonic()})

    def healthy(self) -> bool:
        return all(time.monotonic() - beat < _HANGING_SECONDS for beat in tuple(self.beats.values()))

    def end(self) -> None:
        """The daemon is gone or stops: finish the job in hand, but do not outlive it for long."""
        self.stopping.set()
        self.bell.ring()
        grace = threading.Timer(_ORPHAN_GRACE_SECONDS, partial(os._exit, 0))
        grace.daemon = True
        grace.start()


def _live(worker: Worker, lanes: list[Lane], link: Link | None, role: str, device: str) -> None:
    worker.beats.clear()
    if link:
        link.say("ready", device)
    log.info(f"{role}.ready", device=device)
    try:
        worker.run(lanes)
    except KeyboardInterrupt:
        worker.stop()
    os._exit(1 if worker.broken else 0)  # library threads must not keep a finished child alive


def configuration_of(link: Link | None) -> tuple[str, Config]:
    """The digest of the daemon's model, and its configuration."""
    for word, rest in link.lines() if link else ():
        if word == "config":
            model, _, configuration = rest.partition(" ")
            return model, Config.model_validate_json(configuration)
    raise SystemExit("a child needs the daemon at the other end of its link, or a configuration file")


def plan_of(config: Config, model: str | None) -> Plan:
    """The plan. Raises Permanent("MODEL_REPLACED") where the daemon goes by another `model`: its jobs are not ours."""
    plan = Plan.of(config)
    if model not in (None, plan.manifest.digest):
        raise Permanent(
            "MODEL_REPLACED",
            f"the model {plan.manifest.name} {plan.manifest.version} in {plan.manifest.directory} is not the one that "
            "the node was started with; put that one back, or restart the node to take this one into service",
        )
    return plan


def _wake(link: Link | None) -> None:
    if link:
        link.hint("wake")


def _inferring(plan: Plan, store: Store) -> Part:
    from cxr_node.inference.predictor import Predictor, analyse  # noqa: PLC0415 - torch is loaded here and only here

    predictor = Predictor(plan.manifest, plan.config.inference.device, plan.config.report.explain)
    judge = partial(analyse, plan.manifest, prevalence=plan.config.model.prevalence)
    values = _common(plan, store) | {"predictor": predictor, "judge": judge}
    return Part(values, [Lane("infer", ("compare", "analyse"))], plan.config.inference.batch_size)


def _working(plan: Plan, store: Store) -> Part:
    from cxr_node.dimse import commitment, inquiry, sender  # noqa: PLC0415 - what only this role needs is loaded in it
    from cxr_node.profiles import profile_of  # noqa: PLC0415
    from cxr_node.stages.assembly import Desk  # noqa: PLC0415

    config, common, calling = plan.config, _common(plan, store), plan.config.node.ae_title
    profiles = {str(mode): profile_of(plan, mode) for mode in plan.routes()}
    destinations = {str(mode): names for mode, names in plan.routes().items()}
    ledger = plan.ledger(store)
    values = common | {
        "desk": Desk(store, common["spool"], profiles, destinations, config.receive.charset_override, common["clock"]),
        "first_document": plan.first_documents(),
        "heatmap_modes": plan.heatmap_modes(),
        "peers": plan.peers(),
        "send": lambda peer, path: sender.send(peer, calling, path),
        "terms": plan.terms(),
        "inquire": lambda peer, references, asking: inquiry.inquire(peer, calling, references, ledger.queried, asking),
        "reported": ledger.reported,
        "new_uid": lambda: f"{UUID_ROOT}.{uuid.uuid4().int}",
        "archive": plan.archive(),
        "patience": config.receive.commitment_wait_seconds,
        "modalities": modalities_of(config),
        "notify": lambda peer, uid, outcomes: commitment.notify(peer, calling, uid, outcomes),
    }
    return Part(values, _work_lanes(plan, store), _ASKED_TOGETHER)


def _work_lanes(plan: Plan, store: Store) -> list[Lane]:
    """Documents, and for each destination sending and asking, so that none waits for another."""
    with store.reading() as tx:  # jobs of a destination that is gone fail, and say so
        names = {
            kind: [*plan.peers(), *sorted(jobs.targets(tx, kind) - set(plan.peers()))] for kind in ("deliver", "commit")
        }
        answering = plan.archive() or jobs.targets(tx, "confirm") or jobs.targets(tx, "notify")
    lanes = [Lane("documents", ("settle", "report", "heatmap"))]
    lanes += [Lane(f"{kind} {name}", (kind,), target=name) for kind in names for name in names[kind]]
    return [*lanes, Lane("modalities", ("confirm", "notify"))] if answering else lanes


def _common(plan: Plan, store: Store) -> dict[str, Any]:
    return {
        "store": store,
        "spool": plan.spool(),
        "judging": plan.judging(),
        "waiting": plan.waiting(),
        "clock": time.time,
    }


ROLES: Mapping[Role, Callable[[Plan, Store], Part]] = {
    "infer": _inferring,
    "work": _working,
}
