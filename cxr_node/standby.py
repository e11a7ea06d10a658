"""One of two nodes, while the other works: it holds nothing, opens nothing, and waits for its turn."""

import signal
import threading
import time
from datetime import UTC, datetime

import structlog

from cxr_node import lease, trust
from cxr_node.config import Config
from cxr_node.lease import Candidate, Lease, Tenure
from cxr_node.observe.sdnotify import Notifier
from cxr_node.plan import Plan

log = structlog.get_logger()

_BEAT_SECONDS = 0.5


def turn(config: Config) -> Tenure | None:
    """Wait until it is this node's turn to work; None at once where it is one of no pair.

    A configuration that could not be worked by is told before, by ConfigError. SIGTERM and SIGINT end the process.
    """
    pair, data = config.pair, config.node.data_dir
    if pair.name is None:
        return None
    trust.require(config, datetime.now(UTC))
    Plan.of(config).judging()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    stopping, notifier = threading.Event(), Notifier()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is read when it starts, and once more by SIGHUP when it works
    candidate = Candidate(data, pair.name, pair.lease_seconds, time.monotonic)
    told = False
    while (taken := _attempted(candidate)) is None:
        if stopping.wait(_BEAT_SECONDS):
            log.info("pair.stopped", name=pair.name)
            raise SystemExit(0)
        if not told:
            _tell(config, notifier)
            told = True
        notifier.alive()
    found, lock = taken
    log.info("pair.working", name=found.name, term=found.term)
    return lease.take(data, found, lock, pair.lease_seconds)


def _attempted(candidate: Candidate) -> tuple[Lease, int] | None:
    """While the folder does not answer it is nobody's turn."""
    try:
        return candidate.attempt()
    except OSError as error:
        log.warning("pair.unreadable", reason=str(error))
        return None


def _tell(config: Config, notifier: Notifier) -> None:
    """Once, when it is clear that the other one works, or did."""
    found = lease.read(config.node.data_dir)
    other = found.name if found else None
    log.info("pair.standing_by", name=config.pair.name, works=other, term=found.term if found else None)
    notifier.ready(f"standing by for {other}")
