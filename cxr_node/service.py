"""The model in service, the processes that work by it, and its succession while films keep coming.

Another model is loaded in a process of its own, beside the one that judges. When it stands by, it takes over in one
transaction with the jobs that wait: films that nobody has judged yet are for it. Then the old process ends, and the
other processes begin anew with its settings. What it cannot be loaded for is recorded, and nothing else has happened.
"""

import threading
import time
from collections.abc import Callable, Mapping

import structlog

from cxr_node.config import Config
from cxr_node.domain.job import Job
from cxr_node.domain.outputs import Target
from cxr_node.domain.study import Judging
from cxr_node.errors import ConfigError, Transient
from cxr_node.plan import Plan
from cxr_node.stages import analyse, compare, further, ties
from cxr_node.store import activations, events, jobs, subjects
from cxr_node.store.activations import Wanted
from cxr_node.store.db import Store, Tx
from cxr_node.store.requeue import adopt_model, drop_beside
from cxr_node.supervisor import Child

log = structlog.get_logger()

_LOADING_SECONDS = 180.0
_DRAIN_SECONDS = 15.0
_WRITES = ("report", "heatmap", "companions")
"""Kinds of job after which key objects may be all that is left to write."""


class Service:
    """`pseudonym` gives the name of a study in the log. Raises ConfigError when the model is not there."""

    def __init__(self, config: Config, store: Store, pseudonym: Callable[[str], str]) -> None:
        self._config, self._store, self._pseudonym = config, store, pseudonym
        with store.reading() as tx:
            stack = activations.stack(tx)
        self.plan = Plan.of(config, stack[-1] if stack else None)
        self._judging = self.plan.judging()
        taking = {"web": config.web.enabled, "hl7": config.hl7.port is not None}
        wanted = {"infer": True, "work": True, **taking}
        roles = [*(role for role in wanted if wanted[role]), *_beside(self.plan)]
        self._children: Mapping[str, Child] = {role: self._child(role, self.plan) for role in roles}
        self._succession: threading.Thread | None = None
        self._candidate: Child | None = None
        self._stopping = threading.Event()

    def judging(self) -> Judging:
        """How studies are judged now."""
        return self._judging

    def start(self) -> None:
        for role, lacking in (("further", self.plan.lineup.missing), ("shadow", self.plan.lineup.absent)):
            for model, reason in lacking.items():
                log.error(f"{role}.lacking", model=model, reason=reason)
        for model in self.plan.lineup.idle:
            log.warning("calibration.idle", model=model, meaning="model.calibration is for a build that does not serve")
        for child in self._children.values():
            child.start()

    def stop(self) -> None:
        """Let every process finish the job in hand; a model that is being loaded does not take over any more."""
        self._stopping.set()
        if self._candidate:
            self._candidate.stop(_DRAIN_SECONDS)
        if self._succession:
            self._succession.join(2 * _DRAIN_SECONDS)
        for child in self._children.values():
            child.stop(_DRAIN_SECONDS)

    def wake(self) -> None:
        for child in self._children.values():
            child.wake()

    def ping(self) -> None:
        for child in self._children.values():
            child.ping()

    def alive(self) -> bool:
        """Whether every process is being looked after."""
        return all(child.alive() for child in self._children.values())

    def adopt(self, tx: Tx) -> None:
        """Films that wait for a model that is out of service wait for the one that is in, and for none out of use."""
        now, plan = time.time(), self.plan
        adopt_model(tx, self._judging.model_digest, now)
        beside = {"further": plan.further, "shadow": plan.shadows}
        drop_beside(tx, {kind: [each.digest for each in models] for kind, models in beside.items()}, now)

    def look(self) -> None:
        """Begin what an operator wants of the model in service, if it is not begun yet."""
        if self._succession and self._succession.is_alive():
            return
        try:
            with self._store.reading() as tx:
                wanted = activations.wanted(tx)
        except Transient as error:  # the next look finds it
            log.warning("service.waiting", code=error.code, reason=error.message)
            return
        if wanted is not None:
            self._succession = threading.Thread(target=self._try, args=(wanted,), name="succession", daemon=True)
            self._succession.start()

    def _try(self, wanted: Wanted) -> None:
        """What cannot be written down now is tried anew: it is wanted still."""
        try:
            self._succeed(wanted)
        except Transient as error:
            log.warning("service.waiting", code=error.code, reason=error.message)
            if self._candidate and self._candidate is not self._children["infer"]:
                self._candidate.stop(0)

    def _succeed(self, wanted: Wanted) -> None:
        try:
            plan = Plan.of(self._config, wanted.stack[-1] if wanted.stack else None)
            judging = plan.judging()
        except ConfigError as error:
            self._refuse(wanted, error.code, error.message)
            return
        log.info("model.loading", model=plan.manifest.name, version=plan.manifest.version)
        candidate = self._candidate = self._child("infer", plan, candidate=True)
        candidate.start()
        failure = candidate.standing(_LOADING_SECONDS)
        if self._stopping.is_set():  # what is wanted still is at the next start
            return
        if failure:
            candidate.stop(0)
            self._refuse(wanted, "MODEL_UNAVAILABLE", failure)
            return
        self._take_over(wanted, plan, judging, candidate)

    def _take_over(self, wanted: Wanted, plan: Plan, judging: Judging, candidate: Child) -> None:
        now, before, known = time.time(), self._children["infer"], plan.manifest
        with self._store.transaction() as tx:
            activations.make(tx, wanted, known.digest, self._judging.model_digest, now)
            adopt_model(tx, known.digest, now)
        self.plan, self._judging = plan, judging
        self._children = {**self._children, "infer": candidate}
        candidate.promote()
        self.wake()
        log.info("model.activated", model=known.name, version=known.version, by=wanted.by)
        before.stop(_DRAIN_SECONDS)
        self._renew_others(plan)
        with self._store.transaction() as tx:  # what a film brought, or the old process left, in between
            self.adopt(tx)
        self.wake()

    def _renew_others(self, plan: Plan) -> None:
        for role, child in self._children.items():
            if role != "infer":
                child.renew(_configuration(plan))
        for role in _beside(plan):
            if role not in self._children:
                child = self._child(role, plan)
                self._children = {**self._children, role: child}
                child.start()

    def _refuse(self, wanted: Wanted, code: str, reason: str) -> None:
        log.error("model.not_activated", code=code, reason=reason, by=wanted.by)
        with self._store.transaction() as tx:
            activations.refuse(tx, wanted, code, reason, time.time())

    def _child(self, role: str, plan: Plan, *, candidate: bool = False) -> Child:
        return Child(
            role,
            configuration=_configuration(plan),
            store=self._store,
            set_aside=self._set_aside,
            wake=self.wake,
            clock=time.time,
            candidate=candidate,
        )

    def _set_aside(self, tx: Tx, job: Job) -> None:
        """A job that killed its process is failed; what follows is what its stage would have had follow."""
        now, study = time.time(), subjects.study_of(tx, job)
        events.append(tx, now, "job.failed", study, kind=job.kind, subject=job.subject, code="CRASH")
        log.error("job.set_aside", kind=job.kind, study=self._pseudonym(study) if study else None)
        if job.kind == "compare":
            jobs.enqueue(tx, compare.set_aside(tx, job.subject, self.plan.waiting(), now), now)
        elif job.kind == "further":
            jobs.enqueue(tx, further.settle(tx, job.subject, self.plan.waiting(), now), now)
        elif job.kind == "analyse" and study:
            jobs.enqueue(tx, analyse.follow(tx, study, self._judging, self.plan.waiting(), now), now)
        elif job.kind in _WRITES and self._config.report.key_objects:
            target = Target.parse(job.target)
            destinations = {str(mode): names for mode, names in self.plan.routes().items()}
            jobs.enqueue(tx, ties.due(tx, job.subject, target, destinations.get(target.mode, ())), now)


def _beside(plan: Plan) -> list[str]:
    """The roles of the models beside the one in service, where there are any."""
    return [role for role, models in (("further", plan.further), ("shadow", plan.shadows)) if models]


def _configuration(plan: Plan) -> str:
    """What a child is told: which model it is to find, and how the site wants it."""
    return f"{plan.identity} {plan.pinned().model_dump_json()}"
