"""Keeps the children alive: starts them, asks whether they still answer, and accounts for those that died."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from cxr_node.domain.clock import Clock
from cxr_node.domain.job import Job
from cxr_node.errors import Transient
from cxr_node.lease import Tenure
from cxr_node.link import VARIABLE, Link, failure
from cxr_node.message import Message
from cxr_node.pipeline import PIPELINE
from cxr_node.roles import owner_of
from cxr_node.store import events, jobs
from cxr_node.store.db import Store, Tx

log = structlog.get_logger()

_COMMAND = (sys.executable, "-m", "cxr_node")
_CRASHES_ALONE = 2
_BLAMELESS = frozenset(step.kind for step in PIPELINE if step.blameless)
_SILENT_SECONDS = 300.0  # longer than a child allows its own loops, so that it can say why
_RECORD_AGAIN_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY_SECONDS = 0.2, 60.0, 60.0


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    link: Link
    started: float
    heard: float
    excused: bool = False  # it has said why it cannot work


class Child:
    """One role, in a process of its own that is started again whenever it ends.

    A `candidate` loads its model and stands by until it is promoted; what befalls it until then is recorded as the
    candidate's. `set_aside` is called in the transaction that fails a job because its process died of it. `wake` is
    called when the child has made work for others. `command` starts the process when the role is added to it; one that
    has answered no ping for `silent_seconds` of `monotonic` is killed. Of a node that has a lease (`tenure`) it holds
    the folder, too.
    """

    def __init__(
        self,
        role: str,
        *,
        configuration: str,
        store: Store,
        set_aside: Callable[[Tx, Job], None],
        wake: Callable[[], None],
        clock: Clock,
        candidate: bool = False,
        command: Sequence[str] = _COMMAND,
        silent_seconds: float = _SILENT_SECONDS,
        monotonic: Clock = time.monotonic,
        tenure: Tenure | None = None,
    ) -> None:
        self.role, self._tenure = role, tenure
        self._command, self._silent_seconds, self._monotonic = command, silent_seconds, monotonic
        self._configuration, self._store, self._clock = configuration, store, clock
        self._set_aside, self._wake = set_aside, wake
        self._stopping, self._decided = threading.Event(), threading.Event()
        self._candidate, self._failure = candidate, ""
        self._starting = threading.Lock()
        self._running: _Running | None = None
        self._thread = threading.Thread(target=self._keep, name=f"child {role}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        if running := self._running:
            running.link.hint("wake")

    def alive(self) -> bool:
        """Whether the child is still being looked after."""
        return self._thread.is_alive()

    def ping(self) -> None:
        """Ask; kill a child that has been silent for too long, so that it is started again."""
        if running := self._running:
            if self._monotonic() - running.heard > self._silent_seconds:
                log.error("child.hanging", role=self.role, pid=running.process.pid)
                running.process.kill()
            running.link.hint("ping")

    def standing(self, seconds: float) -> str:
        """Wait until a candidate stands by; why it does not, or nothing."""
        if not self._decided.wait(seconds):
            return Message("it was not loaded within {seconds:g} s", seconds=seconds)
        return self._failure

    def promote(self) -> None:
        """A candidate that stands by begins to work."""
        with self._starting:
            self._candidate = False
            if running := self._running:
                running.link.say("go")

    def renew(self, configuration: str) -> None:
        """Let it finish the job in hand, and start it again with another configuration."""
        with self._starting:
            self._configuration = configuration
            if running := self._running:
                running.link.close()

    def stop(self, grace: float) -> None:
        """Let it finish the job in hand for `grace` seconds; hand its jobs back."""
        self._stopping.set()
        self._give_up(Message("the node stops"))
        if running := self._running:
            running.link.close()
            try:
                running.process.wait(grace)
            except subprocess.TimeoutExpired:
                running.process.kill()
        self._thread.join(grace + 5)

    def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            with self._starting:
                running = self._running = self._spawn()
            self._listen(running)
            status = running.process.wait()
            running.link.close()
            self._running = None
            self._account(running, status)
            steady = self._monotonic() - running.started > _STEADY_SECONDS
            pause = _FIRST_PAUSE if steady else min(_LONGEST_PAUSE, pause * 2)
            self._stopping.wait(pause)

    def _spawn(self) -> _Running:
        link, theirs = Link.pair()
        # Without PASSIVE, torch's threads spin while other work needs the cores: 50 ms become seconds.
        environment = os.environ | {VARIABLE: str(theirs.fileno()), "OMP_WAIT_POLICY": "PASSIVE"}
        command, kept = [*self._command, self.role], [theirs.fileno()]
        if self._tenure is not None:
            kept.append(self._tenure.lock)
        with theirs:
            process = subprocess.Popen(
                command, env=environment, pass_fds=kept, stdin=subprocess.DEVNULL, start_new_session=True
            )
        link.say("candidate" if self._candidate else "config", self._configuration)
        now = self._monotonic()
        return _Running(process, link, started=now, heard=now)

    def _listen(self, running: _Running) -> None:
        for word, rest in running.link.lines():
            if word in ("standing", "ready", "pong"):  # a lane that works on may say `wake` while another hangs
                running.heard = self._monotonic()
            if word == "standing":
                self._decided.set()
            elif word == "ready":
                self._record("ready", device=rest)
            elif word == "failed":
                running.excused = True
                code, reason = failure(rest)
                self._record("unavailable", code=code, reason=reason)
                self._give_up(reason)
            elif word == "wake":
                self._wake()

    def _give_up(self, reason: str) -> None:
        """A candidate gets no second chance: who waits for it is told at once."""
        if self._candidate:
            self._failure = reason
            self._decided.set()

    def _name(self) -> str:
        return "candidate" if self._candidate else self.role

    def _record(self, what: str, **detail: str) -> None:
        self._write(lambda tx: events.append(tx, self._clock(), f"{self._name()}.{what}", None, **detail))

    def _account(self, running: _Running, status: int) -> None:
        """Hand back what the child held; after a crash, find out by and by which job is to blame."""
        owner = owner_of(self.role, running.process.pid)
        if status == 0 or self._stopping.is_set() or running.excused:
            self._write(lambda tx: jobs.release(tx, owner, self._clock()))
            return
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        log.error("child.died", role=self._name(), pid=running.process.pid, how=how)
        self._give_up(Message("its process died ({how})", how=how))
        self._write(lambda tx: self._blame(tx, owner, how))
        self._wake()

    def _blame(self, tx: Tx, owner: str, how: str) -> None:
        now = self._clock()
        events.append(tx, now, f"{self._name()}.died", None, how=how)
        error = Message("the process that ran it died twice while it ran alone ({how})", how=how)
        for job in jobs.blame(tx, owner, now, crashes=_CRASHES_ALONE, error=error, blameless=_BLAMELESS):
            self._set_aside(tx, job)

    def _write(self, write: Callable[[Tx], object]) -> None:
        """Write to the database, however long it is busy or its disk full: nobody else looks after this child."""
        while True:
            try:
                with self._store.transaction() as tx:
                    write(tx)
                    return
            except Transient as error:
                log.error("child.unrecorded", role=self.role, code=error.code, reason=error.message)
                if self._stopping.wait(_RECORD_AGAIN_SECONDS):
                    return  # the next start releases every job
