"""One of two nodes, while the other works: it holds nothing, opens nothing, and waits for its turn."""

import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import structlog

from cxr_node import attendance, lease, trust
from cxr_node.config import Config
from cxr_node.errors import ConfigError
from cxr_node.lease import Candidate, Lease, Tenure
from cxr_node.observe.sdnotify import Notifier
from cxr_node.plan import Plan

T = TypeVar("T")
log = structlog.get_logger()

_BEAT_SECONDS = 0.5


def turn(config: Config, process: int) -> Tenure | None:
    """Wait until it is this node's turn to work; None at once where it is one of no pair. `process` is this one.

    A configuration that could not be worked by is told before, by ConfigError. SIGTERM and SIGINT end the process.
    """
    pair, data = config.pair, config.node.data_dir
    if pair.name is None:
        return None
    if process == 1:
        raise ConfigError(
            "pair.name: as the first process of a container this node could not be ended by the kernel when its turn "
            "is over; run the container with an init of its own (--init)"
        )
    trust.require(config, datetime.now(UTC))
    Plan.of(config).judging()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    found, lock = _wait(data, pair.name, Candidate(data, pair.name, pair.lease_seconds, time.monotonic))
    log.info("pair.working", name=found.name, term=found.term)
    return lease.take(data, found, lock, pair.lease_seconds)


def _wait(data: Path, name: str, candidate: Candidate) -> tuple[Lease, int]:
    """What the candidate takes; meanwhile it is told that this node stands by."""
    stopping, notifier = threading.Event(), Notifier()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the configuration is read again when the node works
    said: float | None = None
    while (taken := _answer(candidate.attempt)) is None:
        if said is None:
            _tell(data, name, notifier)
        if said is None or time.monotonic() - said >= attendance.EVERY_SECONDS:
            said = time.monotonic()
            _answer(lambda: attendance.say(data, name))
        if stopping.wait(_BEAT_SECONDS):
            _answer(lambda: attendance.leave(data))
            log.info("pair.stopped", name=name)
            raise SystemExit(0)
        notifier.alive()
    if said is not None:
        _answer(lambda: attendance.leave(data))
    for number, handler in before.items():
        signal.signal(number, handler)
    return taken


def _answer(ask: Callable[[], T]) -> T | None:
    """What is asked of the folder; None while it does not answer: then it is nobody's turn."""
    try:
        return ask()
    except OSError as error:
        log.warning("pair.unreadable", reason=str(error))
        return None


def _tell(data: Path, name: str, notifier: Notifier) -> None:
    """That the other one works, or did."""
    found = _answer(lambda: lease.read(data))
    other = found.name if found else None
    log.info("pair.standing_by", name=name, works=other, term=found.term if found else None)
    notifier.ready(f"standing by for {other}")
