"""The periodic work of a node, all of it inside: no timer of the system is needed.

| what | how often |
| --- | --- |
| what a hub has not been told; what it asks for | 1 s; 5 s |
| leases that ran out, counts, refusals not recorded yet | 15 to 30 s |
| disk; what time does to the worklist: overdue, read by age | 15 s; 1 min |
| X-ray machines gone silent | 5 min |
| the trail's newest events, workitems that are over, files given up, a copy of the database where one is due | 1 h |
| spool and database brought together; the database's own log and statistics | 6 h |
| certificates | 24 h |
| whether what the models say has moved, and the weekly report | 24 h |
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from cxr_node import caring, tls, trust, watching, workstations
from cxr_node.config import Config
from cxr_node.domain.callers import Counts
from cxr_node.domain.intake import Intake
from cxr_node.errors import Transient
from cxr_node.plan import policy_of
from cxr_node.reconcile import reconcile
from cxr_node.regional import INFORM, HubWatch
from cxr_node.service import Service
from cxr_node.spool import Spool
from cxr_node.stages.turned_away import TurnedAway
from cxr_node.store import events, hub, jobs, passing, reading, tallies, trail, workitems, worklist
from cxr_node.store.db import Store

log = structlog.get_logger()

_CLOCK_STEP_SECONDS = 5.0  # more than a clock is slewed between two beats
_LOCKED_SECONDS = 30 * 86400.0  # no deletion lock holds a workitem for longer
_TAIL = 10_000  # events that are looked at every hour
_IN_FLIGHT_SECONDS = 600.0  # a film may stand in the spool this long before its row is committed


class Upkeep:
    """`config` gives the configuration of now. `counts` are what the listener counted since they were last taken;
    `turned_away` has the refusals that could not be recorded."""

    def __init__(
        self,
        config: Callable[[], Config],
        store: Store,
        spool: Spool,
        intake: Intake,
        *,
        service: Service,
        counts: Counts,
        turned_away: TurnedAway,
    ) -> None:
        self._config, self._store, self._spool, self._intake = config, store, spool, intake
        self._service, self._counts, self._turned_away = service, counts, turned_away
        self._began = time.time()
        self._clock_ahead = self._began - time.monotonic()
        self._scheduler = self._schedule()

    def start(self) -> None:
        self._scheduler.start()

    def alive(self) -> bool:
        return bool(self._scheduler.running)

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)
        self._turned_away.record()
        self._count()

    def watch_clock(self) -> None:
        """The scheduler goes by the time of day: set back, it would wait until the old time has come again."""
        ahead = time.time() - time.monotonic()
        if abs(ahead - self._clock_ahead) > _CLOCK_STEP_SECONDS:
            log.warning("clock.stepped", seconds=round(ahead - self._clock_ahead))
            for job in self._scheduler.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))
        self._clock_ahead = ahead

    def _schedule(self) -> BackgroundScheduler:
        late_is_better_than_never = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        scheduler = BackgroundScheduler(timezone="UTC", job_defaults=late_is_better_than_never)
        scheduler.add_job(self._release_expired, "interval", seconds=30)
        scheduler.add_job(self._count, "interval", seconds=15)
        scheduler.add_job(self._turned_away.record, "interval", seconds=15)
        if at := workstations.hub_of(self._config()):
            scheduler.add_job(self._inform_hub, "interval", seconds=1)
            scheduler.add_job(self._look_at_hub, "interval", (HubWatch(self._store, at),), seconds=5)
        scheduler.add_job(self._watch_disk, "interval", seconds=15)
        scheduler.add_job(self._pass_time, "interval", minutes=1, next_run_time=datetime.now(UTC))
        scheduler.add_job(self._close_old, "interval", minutes=1)
        scheduler.add_job(self._listen_for_silence, "interval", minutes=5)
        scheduler.add_job(self._forget_workitems, "interval", hours=1)
        now = datetime.now(UTC)
        for job, hours in (
            (self._watch_trail, 1),
            (self._retain, 1),
            (self._back_up, 1),
            (self._reconcile, 6),
            (self._tidy, 6),
            (self._watch_certificate, 24),
            (self._watch_models, 24),
        ):
            scheduler.add_job(job, "interval", hours=hours, next_run_time=now)
        return scheduler

    def _release_expired(self) -> None:
        with self._store.transaction() as tx:
            released = jobs.release_expired(tx, time.time())
            self._service.adopt(tx)
        if released:
            log.warning("jobs.released", count=released, reason="their leases ran out")
            self._service.wake()

    def _inform_hub(self) -> None:
        with self._store.reading() as tx:
            anything = hub.next_up(tx, 1) is not None
        if anything:
            with self._store.transaction() as tx:
                jobs.enqueue_unless_open(tx, [INFORM], time.time())
            self._service.wake()

    def _look_at_hub(self, watch: HubWatch) -> None:
        if watch.look(time.time()):
            self._service.wake()

    def _count(self) -> None:
        counted = self._counts.take()
        if not counted:
            return
        try:
            with self._store.transaction() as tx:
                for (what, label), count in counted.items():
                    tallies.add(tx, what, label, count)
        except Transient:
            self._counts.give_back(counted)

    def _reconcile(self) -> None:
        reconcile(self._store, self._spool, self._intake, older_than=max(self._began, time.time() - _IN_FLIGHT_SECONDS))

    def _pass_time(self) -> None:
        """What time alone does to the worklist."""
        with self._store.transaction() as tx:
            retimed = passing.retime(tx, time.time())
            policy = policy_of(self._config(), frozen=worklist.is_frozen(tx))
            overdue = passing.tell_overdue(tx, policy, time.time())
        if retimed:
            log.warning("worklist.retimed", studies=retimed, reason="they came before the clock was set back")
        if overdue:
            log.info("worklist.overdue", studies=overdue)

    def _close_old(self) -> None:
        hours, now = self._config().worklist.read_after_hours, time.time()
        if hours is not None:
            with self._store.transaction() as tx:
                closed = reading.close_old(tx, now - hours * 3600, now)
            if closed:
                log.info("worklist.closed", studies=closed, hours=hours)

    def _forget_workitems(self) -> None:
        now, keep = time.time(), self._config().ups.keep_hours * 3600
        with self._store.transaction() as tx:
            workitems.forget(tx, now - keep, now - max(keep, _LOCKED_SECONDS))

    def _watch_trail(self) -> None:
        """Look at the newest events; a broken trail is told once, and in the trail itself."""
        with self._store.reading() as tx:
            broken, told = trail.broken_in_tail(tx, _TAIL), events.latest(tx, "audit.broken")
        if broken is not None and (told is None or told["sequence"] != broken):
            log.error(
                "audit.broken", sequence=broken, meaning="somebody changed the audit trail: cxr-node audit verify"
            )
            with self._store.transaction() as tx:
                events.append(tx, time.time(), "audit.broken", None, sequence=broken)

    def _watch_disk(self) -> None:
        if self._spool.below_watermark():
            log.error("disk.low", free_bytes=self._spool.free_bytes(), meaning="films are refused until there is room")

    def _watch_certificate(self) -> None:
        for own in trust.identities(self._config()):
            if end := tls.expires_soon(own, datetime.now(UTC)):
                log.error("certificate.expires", file=str(own.certificate), on=f"{end:%Y-%m-%d}")

    def _listen_for_silence(self) -> None:
        caring.listen_for_silence(self._store, time.time())

    def _retain(self) -> None:
        caring.retain(self._config(), self._store, self._spool, time.time())

    def _back_up(self) -> None:
        caring.back_up_if_due(self._config(), self._store, time.time())

    def _tidy(self) -> None:
        self._store.tidy()

    def _watch_models(self) -> None:
        watching.watch(self._service.plan, self._store, time.time())
