"""The model in service, the processes that work by it, and its succession while films keep coming.

Another model is loaded in a process of its own, beside the one that judges. When it stands by, it takes over in one
transaction with the jobs that wait: films that nobody has judged yet are for it. Then the old process ends, and the
other processes begin anew with its settings. What it cannot be loaded for is recorded, and nothing else has happened.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from cxr_node.config import Config
from cxr_node.domain.job import Job
from cxr_node.domain.outputs import Target
from cxr_node.domain.study import Judging
from cxr_node.errors import ConfigError, CxrNodeError, Transient
from cxr_node.lease import Tenure
from cxr_node.message import Message
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
    """`pseudonym` gives the name of a study in the log; `tenure` is the lease of a node that is one of a pair.

    Raises ConfigError when the model is not there.
    """

    def __init__(
        self, config: Config, store: Store, pseudonym: Callable[[str], str], tenure: Tenure | None = None
    ) -> None:
        self._config, self._store, self._pseudonym, self._tenure = config, store, pseudonym, tenure
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
        """Let every process finish the job in hand, all at once: systemd does not wait for one after the other. A model
        that is being loaded does not take over any more."""
        self._stopping.set()
        if self._candidate:
            self._candidate.stop(_DRAIN_SECONDS)
        if self._succession:
            self._succession.join(2 * _DRAIN_SECONDS)
        with ThreadPoolExecutor(len(self._children)) as pool:
            list(pool.map(lambda child: child.stop(_DRAIN_SECONDS), self._children.values()))

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

    def busy(self) -> bool:
        """Whether a succession is under way: another has to wait."""
        return self._succession is not None and self._succession.is_alive()

    def reconfigure(self, config: Config, changed: Sequence[str], done: Callable[[CxrNodeError | None], None]) -> None:
        """Begin to work by another configuration, in which these keys are `changed`; not while `busy`.

        `done` is told when it is done, or why it is not possible; then nothing has changed.
        """

        def change() -> None:
            try:
                self._change(config, changed)
            except CxrNodeError as error:
                done(error)
            else:
                done(None)

        self._succession = threading.Thread(target=change, name="reconfiguration", daemon=True)
        self._succession.start()

    def _change(self, config: Config, changed: Sequence[str]) -> None:
        """Films are judged all the while: where it matters to that, a process with the new settings takes over."""
        plan = Plan.of(config, self.plan.activation)
        judging = plan.judging()
        successor = None if _same_judging(self.plan, plan) else self._successor(plan)
        try:
            with self._store.transaction() as tx:
                events.append(tx, time.time(), "config.reloaded", None, changed=list(changed))
        except Transient:
            if successor:
                successor.stop(0)
            raise
        if successor:
            self._put_in_service(plan, judging, successor)
        self._config, self.plan, self._judging = config, plan, judging
        self._renew_others(plan)
        self.wake()

    def _successor(self, plan: Plan) -> Child:
        """Raises Transient where it cannot be had."""
        candidate, failure = self._standing(plan)
        if failure or self._stopping.is_set():
            candidate.stop(0)
            raise Transient("NOT_RELOADED", failure or Message("the node stops"))
        return candidate

    def look(self) -> None:
        """Begin what an operator wants of the model in service, if it is not begun yet."""
        if self.busy():
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
        candidate, failure = self._standing(plan)
        if self._stopping.is_set():  # what is wanted still is at the next start
            return
        if failure:
            candidate.stop(0)
            self._refuse(wanted, "MODEL_UNAVAILABLE", failure)
            return
        self._take_over(wanted, plan, judging, candidate)

    def _standing(self, plan: Plan) -> tuple[Child, str]:
        """A process that stands by to judge films by a plan, beside the one that does; why it does not, or nothing."""
        log.info("model.loading", model=plan.manifest.name, version=plan.manifest.version)
        candidate = self._candidate = self._child("infer", plan, candidate=True)
        candidate.start()
        return candidate, candidate.standing(_LOADING_SECONDS)

    def _take_over(self, wanted: Wanted, plan: Plan, judging: Judging, candidate: Child) -> None:
        now, known = time.time(), plan.manifest
        with self._store.transaction() as tx:
            activations.make(tx, wanted, known.digest, self._judging.model_digest, now)
            adopt_model(tx, known.digest, now)
        log.info("model.activated", model=known.name, version=known.version, by=wanted.by)
        self._put_in_service(plan, judging, candidate)
        self._renew_others(plan)
        with self._store.transaction() as tx:  # what a film brought, or the old process left, in between
            self.adopt(tx)
        self.wake()

    def _put_in_service(self, plan: Plan, judging: Judging, candidate: Child) -> None:
        """Let who stands by judge films from now on; who did so finishes the films in hand."""
        before = self._children["infer"]
        self.plan, self._judging = plan, judging
        self._children = {**self._children, "infer": candidate}
        candidate.promote()
        self.wake()
        before.stop(_DRAIN_SECONDS)

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
            tenure=self._tenure,
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


def _same_judging(one: Plan, other: Plan) -> bool:
    """Whether the process that judges films would do the same by either plan; destinations are nothing to it."""
    return one.config.model == other.config.model and one.config.worklist == other.config.worklist


def _beside(plan: Plan) -> list[str]:
    """The roles of the models beside the one in service, where there are any."""
    return [role for role, models in (("further", plan.further), ("shadow", plan.shadows)) if models]


def _configuration(plan: Plan) -> str:
    """What a child is told: which model it is to find, and how the site wants it."""
    return f"{plan.identity} {plan.pinned().model_dump_json()}"
