"""claim -> run -> commit.

A worker takes jobs from the table, runs their stages, and writes each outcome in one transaction with the job's
completion and its successors. What a stage raises becomes the job's state; nothing is lost in between. What it raises
for a whole batch without having foreseen it is the trouble of the process (a GPU that fails every call from now on),
and so is a lack of memory: the process ends, and the jobs in its hands are accounted for as after a crash.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from cxr_node.domain.clock import Clock
from cxr_node.domain.job import Job, JobState, next_delay
from cxr_node.errors import CxrNodeError, Ineligible, Transient, of_the_machine
from cxr_node.message import Message
from cxr_node.pipeline import Step
from cxr_node.stages.stage import Commit, Stage, attempt
from cxr_node.store import events, jobs, subjects, tallies
from cxr_node.store.db import Store, Tx
from cxr_node.store.kept import told

log = structlog.get_logger()

_POLL_SECONDS = 1.0  # a bell wakes the lanes; polling only catches what was missed


class Bell:
    """Wakes every lane of a process when there may be work."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rings = 0

    def ring(self) -> None:
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def wait(self, heard: int, seconds: float) -> int:
        """Wait for a ring after number `heard`, at most `seconds`; the number of rings so far."""
        with self._changed:
            self._changed.wait_for(lambda: self._rings != heard, timeout=max(0.0, seconds))
            return self._rings


@dataclass(frozen=True, slots=True)
class Lane:
    """One thread's share of the work: kinds of job in the order they are looked for.

    With a target, those for it and those for none; without, all.
    """

    name: str
    kinds: tuple[str, ...]
    target: str | None = None


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A job in hand, and what every line of the log says of it: its kind, and its study by its pseudonym."""

    job: Job
    known: dict[str, str | None]


@dataclass
class Worker:
    """Runs the lanes of one process.

    `wake` tells the other processes of new jobs; `batch_size` bounds how many jobs of a batched step are taken at once.
    `pauses`, in seconds, lie between the tries to write down what became of a job while the database is busy.
    `broken` is the failure, no job's, by which a lane ended: the process should be started anew. `pseudonym` gives the
    name of a study in the log.
    """

    store: Store
    stages: Mapping[str, tuple[Step, Stage]]
    owner: str
    wake: Callable[[], None]
    clock: Clock = time.time
    random: Callable[[], float] = random.random
    batch_size: int = 8
    pauses: Sequence[float] = (0.2, 1.0, 3.0)
    bell: Bell = field(default_factory=Bell)
    stopping: threading.Event = field(default_factory=threading.Event)
    beats: dict[str, float] = field(default_factory=dict)
    broken: Exception | None = None
    pseudonym: Callable[[str], str] = field(kw_only=True)

    def run(self, lanes: Sequence[Lane]) -> None:
        """Work until `stopping` is set; returns when every lane has finished the job in hand."""
        threads = [threading.Thread(target=self._loop, args=(lane,), name=lane.name) for lane in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        self.stopping.set()
        self.bell.ring()

    def _loop(self, lane: Lane) -> None:
        heard = 0
        while not self.stopping.is_set():
            self.beats[lane.name] = time.monotonic()
            pause = attempt(self._turn, lane)
            if isinstance(pause, Transient):
                log.warning("worker.waiting", lane=lane.name, code=pause.code, reason=pause.message)
                pause = _POLL_SECONDS
            elif isinstance(pause, Exception):
                log.error("worker.broken", lane=lane.name, exc_info=pause)
                self.broken = pause
                self.stop()
                return
            if pause > 0:
                heard = self.bell.wait(heard, pause)

    def _turn(self, lane: Lane) -> float:
        """Do what is due in a lane; for how many seconds there is nothing more to do."""
        return 0.0 if self.run_once(lane) else self._until_due(lane)

    def run_once(self, lane: Lane) -> bool:
        """Do what is due next in a lane, if anything; whether there was something."""
        now = self.clock()
        with self.store.reading() as tx:  # other processes write meanwhile
            due = [kind for kind in lane.kinds if jobs.is_due(tx, kind, now, lane.target)]
        for kind in due:
            step, stage = self.stages[kind]
            with self.store.transaction(durable=False) as tx:  # after a power cut, nobody has claimed anything
                limit = self.batch_size if step.batched else 1
                batch = jobs.claim(tx, kind, self.owner, now, step.lease, limit=limit, target=lane.target)
                claimed = [self._named(tx, job) for job in batch]
            if claimed:
                self._run(step, stage, claimed)
                return True
        return False

    def _until_due(self, lane: Lane) -> float:
        with self.store.reading() as tx:
            due = jobs.next_due(tx, lane.kinds, lane.target)
        return min(_POLL_SECONDS, max(0.005, due - self.clock())) if due is not None else _POLL_SECONDS

    def _named(self, tx: Tx, job: Job) -> _Claimed:
        study, film = subjects.study_of(tx, job), subjects.film_of(job)
        known = {"study": self.pseudonym(study) if study else None, "film": film[:12] if film else None}
        return _Claimed(job, {"kind": job.kind, **known})

    def _run(self, step: Step, stage: Stage, batch: Sequence[_Claimed]) -> None:
        began = time.monotonic()
        outcomes = attempt(stage.run_batch, [one.job for one in batch])
        if isinstance(outcomes, CxrNodeError):
            outcomes = [outcomes] * len(batch)
        elif isinstance(outcomes, Exception):
            raise outcomes
        for outcome in outcomes:
            if isinstance(outcome, MemoryError):
                raise outcome
        for one, outcome in zip(batch, outcomes, strict=True):
            trouble = attempt(partial(self._conclude, step, stage, one, began), outcome)
            if isinstance(trouble, Transient):  # its neighbours are accounted for; its lease will run out
                log.warning("job.unaccounted", **one.known, code=trouble.code, reason=trouble.message)
            elif isinstance(trouble, Exception):
                log.error("job.unaccounted", **one.known, exc_info=trouble)
        self.wake()

    def _conclude(self, step: Step, stage: Stage, claimed: _Claimed, began: float, outcome: Commit | Exception) -> None:
        """Write what became of a job, unless it was overtaken: then its holder has nothing to say any more."""
        held: bool | Exception
        if isinstance(outcome, OSError) and of_the_machine(outcome):  # a disk that does not read now may do so later
            held = Transient("IO_ERROR", Message("the machine failed: {error}", error=outcome.strerror))
        elif isinstance(outcome, Exception):
            held = outcome
        else:
            held = attempt(self._insist, partial(self._complete, step, claimed.job, outcome, began))
        if isinstance(held, Exception):
            held = self._insist(partial(self._end, step, stage, claimed, held))
        elif held:
            log.info("job.done", **claimed.known, seconds=round(time.monotonic() - began, 3))
        if not held:
            log.info("job.overtaken", **claimed.known)

    def _insist(self, write: Callable[[], bool]) -> bool:
        """Write what is known, again while the database is busy: the work is done, and is not to be done again."""
        for pause in self.pauses:
            try:
                return write()
            except Transient:
                self.stopping.wait(pause)
        return write()

    def _complete(self, step: Step, job: Job, commit: Commit, began: float) -> bool:
        """Write a job's results, completion and successors at once; False when the lease was lost."""
        now = self.clock()
        with self.store.transaction() as tx:
            held = jobs.finish(tx, job, JobState.DONE, now)
            if held:
                successors = list(commit(tx))
                assert all(new.kind in step.then for new in successors), f"{step.kind} may not lead to {successors}"  # noqa: S101
                jobs.enqueue(tx, successors, now)
                tallies.took(tx, step.kind, time.monotonic() - began)
        return held

    def _end(self, step: Step, stage: Stage, claimed: _Claimed, failure: Exception) -> bool:
        """Account for a job without a result: later again, skipped, or failed; False when the lease was lost."""
        now, job = self.clock(), claimed.job
        code, reason = _described(failure)
        known = claimed.known | {"code": code, "reason": reason}
        delay = next_delay(step.retry, job.attempt, self.random) if isinstance(failure, Transient) else None
        if delay is not None:
            with self.store.transaction() as tx:
                held = jobs.retry(tx, job, now + delay, now, error_code=code, error=reason)
            if held:
                log.warning("job.retry", **known, seconds=round(delay, 1))
            return held
        state = JobState.SKIPPED if isinstance(failure, Ineligible) else JobState.FAILED
        with self.store.transaction() as tx:
            held = jobs.finish(tx, job, state, now, error_code=code, error=reason)
            if held:
                _close(tx, stage, job, state, now)
        if held:
            bug = not isinstance(failure, CxrNodeError)
            level = logging.ERROR if bug else logging.WARNING
            log.log(level, f"job.{state}", **known, exc_info=failure if bug else None)
        return held


def _close(tx: Tx, stage: Stage, job: Job, state: JobState, now: float) -> None:
    row = jobs.by_id(tx, job.id)
    events.append(
        tx, now, f"job.{state}", subjects.study_of(tx, job),
        kind=job.kind, subject=job.subject, target=job.target, code=row["error_code"],
        reason=told(row["error"], row["error_message"]),
    )  # fmt: skip
    jobs.enqueue(tx, stage.abandoned(tx, job), now)


def _described(failure: Exception) -> tuple[str, str]:
    if isinstance(failure, CxrNodeError):
        return failure.code, failure.message
    why = Message("internal error ({kind}); the log has the details", kind=type(failure).__name__)
    return "BUG", why
