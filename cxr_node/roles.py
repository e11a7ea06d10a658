"""What the daemon's children do: `work` makes and sends documents, `infer`, `further` and `shadow` judge films."""

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from cxr_node import keys, lease, messaging
from cxr_node.config import Config
from cxr_node.decoding.line import Settings
from cxr_node.decoding.pool import DecoderDied, Decoders, fitting
from cxr_node.domain.quality import LEAST_SIDE
from cxr_node.errors import CxrNodeError, Permanent
from cxr_node.inference.manifest import Manifest
from cxr_node.link import Link, attend
from cxr_node.message import Message
from cxr_node.observe import log as logging
from cxr_node.pipeline import Role, assemble
from cxr_node.plan import Plan, open_store
from cxr_node.predicting import predictor_of
from cxr_node.store import events
from cxr_node.store.db import Store
from cxr_node.worker import Bell, Lane, Worker

if TYPE_CHECKING:
    from cxr_node.inference.predictor import FilmPredictor

log = structlog.get_logger()

_HANGING_SECONDS = 180.0
_ORPHAN_GRACE_SECONDS = 20.0
_STANDING_BEAT_SECONDS = 1.0
_SHADOW_NICENESS = 10  # whatever else there is to do comes first


@dataclass(frozen=True, slots=True)
class Part:
    """What a role is made of: the values of its stages, its lanes, and how many jobs of a batched step it takes.

    `close` is called when its last job is done.
    """

    values: Mapping[str, Any]
    lanes: list[Lane]
    batch_size: int
    close: Callable[[], None] = lambda: None


def owner_of(role: str, pid: int) -> str:
    """Who holds a job's lease."""
    return f"{role}@{socket.gethostname()}:{pid}"


def run(role: Role, config: Config | None) -> int:
    """A child's whole life; its exit status. Without `config` the daemon sends it over the link."""
    link, model, life = Link.inherited(), None, _Life()
    if config is None:
        candidate, model, config = configuration_of(link)
        if not candidate:
            life.go.set()
    else:
        life.go.set()
    logging.configure(config.log.level, config.log.format, config.log.file, role=role)
    if link:  # before the model is loaded, which takes its time: the daemon asks, and may end, meanwhile
        attend(link, on_wake=life.bell.ring, on_go=life.go.set, healthy=life.healthy, on_end=life.end)
    try:
        store = open_store(config, create=False)
        pseudonyms = keys.pseudonyms(config.node.data_dir, create=False)
        part = ROLES[role](plan_of(config, model), store)
        if link and not life.go.is_set():
            _stand_by(link, role, part.values["predictor"], life)
    except CxrNodeError as error:
        log.error(f"{role}.unavailable", code=error.code, reason=error.message)
        if link:
            link.fail(error.code, error.message)
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
    _live(worker, part, link, role, device=str(getattr(part.values.get("predictor"), "device", "cpu")))
    return 0


@dataclass(frozen=True, slots=True)
class _Life:
    """What the daemon may ask of a child, and tell it, from its first moment on."""

    bell: Bell = field(default_factory=Bell)
    stopping: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    beats: dict[str, float] = field(default_factory=lambda: {"loading": time.monotonic()})

    def healthy(self) -> bool:
        return all(time.monotonic() - beat < _HANGING_SECONDS for beat in tuple(self.beats.values()))

    def end(self) -> None:
        """The daemon is gone or stops: finish the job in hand, but do not outlive it for long."""
        self.stopping.set()
        self.go.set()
        self.bell.ring()
        grace = threading.Timer(_ORPHAN_GRACE_SECONDS, partial(os._exit, 0))
        grace.daemon = True
        grace.start()


def _stand_by(link: Link, role: str, predictor: "FilmPredictor", life: _Life) -> None:
    """Show that the model computes here what it should, and wait until it is put in service."""
    from cxr_node.inference import golden  # noqa: PLC0415 - as the predictor's

    golden.check(predictor)
    log.info(f"{role}.standing_by", device=str(predictor.device))
    link.say("standing", str(predictor.device))
    while not life.go.wait(_STANDING_BEAT_SECONDS):
        life.beats["standing"] = life.beats["loading"] = time.monotonic()


def _live(worker: Worker, part: Part, link: Link | None, role: str, device: str) -> None:
    worker.beats.clear()
    if link:
        link.say("ready", device)
    log.info(f"{role}.ready", device=device)
    try:
        worker.run(part.lanes)
    except KeyboardInterrupt:
        worker.stop()
    part.close()
    if isinstance(worker.broken, DecoderDied):
        worker.broken.follow()
    os._exit(1 if worker.broken else 0)  # library threads must not keep a finished child alive


def configuration_of(link: Link | None) -> tuple[bool, str, Config]:
    """Whether it is to stand by first, the identity of the daemon's model, and its configuration."""
    lease.join()
    for word, rest in link.lines() if link else ():
        if word in ("config", "candidate"):
            model, _, configuration = rest.partition(" ")
            return word == "candidate", model, Config.model_validate_json(configuration)
    raise SystemExit("a child needs the daemon at the other end of its link, or a configuration file")


def plan_of(config: Config, model: str | None) -> Plan:
    """Raises Permanent("MODEL_REPLACED") where the daemon goes by another `model`: its jobs are not for this one."""
    plan = Plan.in_service(config) if model is None else Plan.of(config)
    if model not in (None, plan.identity):
        raise Permanent(
            "MODEL_REPLACED",
            Message(
                "the model {name} {version} in {directory}, or the site's calibration of it, is not the one that the "
                "node was started with; put that one back, or restart the node to take this one into service",
                name=plan.manifest.name,
                version=plan.manifest.version,
                directory=plan.manifest.directory,
            ),
        )
    return plan


def _wake(link: Link | None) -> None:
    if link:
        link.hint("wake")


def _inferring(plan: Plan, store: Store) -> Part:
    from cxr_node.inference.gate import admission  # noqa: PLC0415 - torch is loaded here and only here
    from cxr_node.inference.memory import keep_freed_memory  # noqa: PLC0415
    from cxr_node.inference.predictor import analyse  # noqa: PLC0415

    keep_freed_memory()
    model = plan.manifest
    decoders = _decoders(plan)  # they start while the model is loaded
    predictor = predictor_of(plan.config, model)
    judge = partial(analyse, model, prevalence=plan.prevalence_of(model))
    values = _common(plan, store) | {"predictor": predictor, "judge": judge}
    values |= {"further": [each.digest for each in plan.further], "shadows": [each.digest for each in plan.shadows]}
    values["asked"] = messaging.asked(plan.config)
    values |= {"admit": admission(plan.gate()), "develop": decoders.develop}
    decoders.await_ready()
    # Films that wait for another model are for its process: while one takes over from another both are there.
    lanes = [Lane("infer", ("compare", "analyse"), target=model.digest)]
    return Part(values, lanes, plan.config.inference.batch_size, decoders.close)


def _decoders(plan: Plan) -> Decoders:
    wanted, log = plan.config.inference, plan.config.log
    cores = len(os.sched_getaffinity(0))
    count = fitting(cores, wanted.batch_size) if wanted.decoders == "auto" else wanted.decoders
    side = max(plan.manifest.size, LEAST_SIDE)
    return Decoders(count, Settings(plan.spool().root.resolve(), side, log.level, log.format, log.file))


def _shadowing(plan: Plan, store: Store) -> Part:
    os.nice(_SHADOW_NICENESS)
    return _beside("shadow", plan.shadows, plan, store)


def _beside(role: Role, models: Sequence[Manifest], plan: Plan, store: Store) -> Part:
    """A process for models beside the one in service; one that cannot be loaded is told, and the others go on."""
    from cxr_node.inference.memory import keep_freed_memory  # noqa: PLC0415 - torch again, in a process of its own
    from cxr_node.inference.predictor import analyse  # noqa: PLC0415
    from cxr_node.stages.beside import Bench, Beside  # noqa: PLC0415

    keep_freed_memory()
    beside, lacking = {}, {}
    for model in models:
        try:
            predictor = predictor_of(plan.config, model)
        except CxrNodeError as error:
            log.error(f"{role}.lacking", model=model.called, code=error.code, reason=error.message)
            lacking[model.called] = error.message
        else:
            beside[model.digest] = Beside(predictor, partial(analyse, model, prevalence=plan.prevalence_of(model)))
    with store.transaction() as tx:
        events.append(tx, time.time(), f"{role}.loaded", None, models=len(beside), lacking=lacking)
    common = _common(plan, store)
    values = common | {"bench": Bench(store, common["spool"], beside)}
    return Part(values, [Lane(role, (role,))], plan.config.inference.batch_size)


def _working(plan: Plan, store: Store) -> Part:
    from cxr_node import working  # noqa: PLC0415 - what only this role needs is loaded in it

    courier = working.courier_of(plan)
    guard = lease.guard(plan.config.node.data_dir)
    values = working.values(plan, store, _common(plan, store), courier, guard)
    return Part(values, working.lanes(plan, store), working.ASKED_TOGETHER, courier.close)


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
    "further": lambda plan, store: _beside("further", plan.further, plan, store),
    "shadow": _shadowing,
    "work": _working,
}
