"""The node as a service: configuration -> objects -> loops -> signals -> notifications.

Processes joined by the database: this one listens and supervises, `work` makes and sends documents, `infer` judges
films, `web` shows them, and `shadow`, where a site wants it, has other models judge them too. This one never imports
torch, so it is ready in a second or two while the model loads beside it.
"""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial

import structlog

from cxr_node import auditing, keys, lease, trust
from cxr_node.config import Config
from cxr_node.dimse.listener import Listener
from cxr_node.dimse.mpps import PerformedProcedureStep
from cxr_node.dimse.workitems import ModalityWorklist, UnifiedProcedureStep
from cxr_node.domain.callers import Counts
from cxr_node.errors import ConfigError, CxrNodeError
from cxr_node.lease import Tenure
from cxr_node.lock import only_one
from cxr_node.observe.sdnotify import Notifier
from cxr_node.opening import open_own_store
from cxr_node.plan import announcement
from cxr_node.reloading import Reread, reread
from cxr_node.service import Service
from cxr_node.stages.procedure import Procedure
from cxr_node.stages.receive import Receive
from cxr_node.stages.turned_away import TurnedAway
from cxr_node.store import events, jobs, subscriptions
from cxr_node.upkeep import Upkeep
from cxr_node.workstations import asking, desk_of

log = structlog.get_logger()

_BEAT_SECONDS = 2.0
_DRAIN_SECONDS = 15.0


class Daemon:
    """One node. `run` returns when it has been told to stop and has put everything in order."""

    def __init__(self, config: Config, read: Callable[[], Config], tenure: Tenure | None = None) -> None:
        """`read` reads the configuration anew, for SIGHUP; `tenure` is the lease of a node that is one of a pair."""
        self._config, self._read, self._tenure = config, read, tenure
        trust.require(config, datetime.now(UTC))
        self._store = open_own_store(config)
        self._pseudonyms = keys.pseudonyms(config.node.data_dir, create=True)
        self._service = Service(config, self._store, self._pseudonyms.study, tenure)
        plan = self._service.plan
        self._spool = plan.spool()
        self._stopping, self._hung_up = threading.Event(), threading.Event()
        self._notifier = Notifier()
        self._intake = Receive(
            store=self._store,
            spool=self._spool,
            rules=plan.rules(),
            judging=self._service.judging,
            waiting=plan.waiting(),
            charsets=config.receive.charset_override,
            clock=time.time,
            wake=self._service.wake,
            pseudonym=self._pseudonyms.study,
            asking=asking(config),
        )
        procedure = Procedure(
            self._store,
            self._service.judging,
            plan.waiting(),
            time.time,
            self._service.wake,
            self._pseudonyms.study,
        )
        self._counts, self._turned_away = Counts(), TurnedAway(self._store, time.time)
        self._listens_for_commitment = plan.commits()
        self._listener = Listener(
            plan.endpoint(),
            self._intake,
            self._spool.incoming,
            [PerformedProcedureStep(procedure), *plan.commitment(self._store), *self._workitems()],
            refused=self._turned_away.note,
            counts=self._counts,
        )
        self._exporters = auditing.exporters(config, lease.guard(config.node.data_dir))
        self._upkeep = Upkeep(
            lambda: self._config,
            self._store,
            self._spool,
            self._intake,
            service=self._service,
            counts=self._counts,
            turned_away=self._turned_away,
        )

    def _workitems(self) -> Sequence[UnifiedProcedureStep | ModalityWorklist]:
        """The listener's side of the Unified Procedure Step service, and of the view beside it, where they are on."""
        service, config = self._service, self._config
        desk = desk_of(lambda: service.plan.config, self._store, service.judging, service.wake, by_web=False)
        if desk is None:
            return []
        steps = [UnifiedProcedureStep(desk)] if config.ups.enabled else []
        return [*steps, *([ModalityWorklist(desk)] if config.ups.modality_worklist else [])]

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        with nullcontext() if self._tenure else only_one(self._config.node.data_dir):
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self._stopping.set())
            signal.signal(signal.SIGHUP, lambda *_: self._hung_up.set())
            self._start()
            while not self._stopping.wait(_BEAT_SECONDS):
                self._beat()
            self._stop()

    def _start(self) -> None:
        config, manifest = self._config, self._service.plan.manifest
        self._spool.prepare()
        dropped = self._spool.drop_parts()
        with self._store.transaction() as tx:
            released = jobs.release_all(tx, time.time())
            self._service.adopt(tx)
            known = {"pair": config.pair.name, "term": self._tenure.lease.term} if self._tenure else {}
            events.append(tx, time.time(), "node.started", None, mode=config.node.mode, model=manifest.digest, **known)
            if config.ups.enabled:
                subscriptions.report_restart(tx, time.time())
        self._service.start()
        self._listener.start()
        self._upkeep.start()
        for exporter in self._exporters:
            exporter.start()
        log.info(
            "node.ready",
            ae_title=config.node.ae_title,
            host=config.receive.host,
            port=self._listener.port,
            mode=config.node.mode,
            model=f"{manifest.name} {manifest.version}",
            dropped_parts=dropped,
            released_jobs=released,
        )
        log.info("node.mode", meaning=announcement(config))
        self._notifier.ready(self._status())

    def _status(self) -> str:
        return f"{self._config.node.mode} mode, listening on port {self._listener.port}"

    def _beat(self) -> None:
        """systemd hears from us only while every loop lives: the listener, the scheduler, and what has a thread."""
        self._upkeep.watch_clock()
        self._service.ping()
        if self._hung_up.is_set() and not self._service.busy():
            self._hung_up.clear()
            self._reload()
        self._service.look()
        others = [self._service.alive(), *(exporter.alive() for exporter in self._exporters)]
        others += [self._tenure.alive()] if self._tenure else []
        if self._listener.alive() and self._upkeep.alive() and all(others):
            self._notifier.alive()

    def _reload(self) -> None:
        """Read the configuration again: what may change does, and what may not is named. A bad one changes nothing."""
        self._notifier.reloading()
        try:
            found = reread(self._config, self._read())
            trust.require(found.config, datetime.now(UTC))
        except ConfigError as error:
            self._reloaded(Reread(self._config, (), ()), error)
            return
        if found.changed:
            self._service.reconfigure(found.config, found.changed, partial(self._reloaded, found))
        else:
            self._reloaded(found, None)

    def _reloaded(self, found: Reread, error: CxrNodeError | None) -> None:
        """What became of it, in the log, in the trail, and for who asked systemd."""
        if error:
            log.error("config.not_reloaded", code=error.code, reason=error.message)
            self._notifier.ready(f"{self._status()}; the configuration was NOT reloaded, see the log")
            return
        waiting = [*found.waiting]
        if self._listens_for_commitment != self._service.plan.commits():
            waiting.append("destination (storage commitment)")
        self._config = found.config
        log.info("config.reloaded", changed=found.changed)
        if waiting:
            log.warning("config.needs_restart", keys=waiting)
        also = f"; restart for {', '.join(waiting)}" if waiting else ""
        self._notifier.ready(f"{self._status()}{also}")

    def _stop(self) -> None:
        log.info("node.stopping")
        self._notifier.stopping()
        self._upkeep.stop()
        for exporter in self._exporters:
            exporter.stop()
        self._listener.stop(_DRAIN_SECONDS)
        self._service.stop()
        with self._store.transaction() as tx:
            released = jobs.release_all(tx, time.time())
            events.append(tx, time.time(), "node.stopped", None)
        self._store.close()
        if self._tenure:
            self._tenure.release()
        log.info("node.stopped", released_jobs=released)
