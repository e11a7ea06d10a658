"""What is to be done for a node that runs for years: files given up, copies kept, silence heard.

Each is one function that does its work once and says what it did; the daemon's scheduler calls them, tests do, too.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from cxr_node.config import Config
from cxr_node.errors import Permanent
from cxr_node.opening import backups_of
from cxr_node.plan import database_of
from cxr_node.spool import Spool
from cxr_node.store import events, machines, retention, settings
from cxr_node.store.copying import copy
from cxr_node.store.db import Store
from cxr_node.store.machines import Machine
from cxr_node.store.retention import Old

log = structlog.get_logger()

_AT_ONCE: Final = 5000  # studies that are looked at in one transaction
_GIGABYTE: Final = 1_000_000_000
_DAY: Final = 86400.0
SILENT_FROM: Final = 7.0
"""Films that would have come: that none does where seven are expected happens by chance once in a thousand times."""
MACHINES, RETAINED = "machines", "retained"
"""Names under which the last look is kept, for `status` and the metrics."""


def retain(config: Config, store: Store, spool: Spool, now: float) -> int:
    """Give up the files of studies that are too old, or too many, and have nothing left to do here; how many."""
    limits = config.retention
    if limits.days is None and limits.max_gigabytes is None:
        return 0
    with store.reading() as tx:
        size = retention.films_size(tx)
    given, stay = 0, {"delivery": 0, "work": 0, "open": 0}
    for old in _oldest_first(store, now):
        too_old = limits.days is not None and old.last < now - limits.days * _DAY
        too_much = limits.max_gigabytes is not None and size > limits.max_gigabytes * _GIGABYTE
        if not too_old and not too_much:
            break
        if old.kept_for is not None:
            stay[old.kept_for] += 1
            continue
        _give_up(config, store, spool, old, reason="age" if too_old else "size", now=now)
        given, size = given + 1, size - old.size
    with store.transaction() as tx:
        settings.put(tx, RETAINED, {"at": now, "given_up": given, "stay": stay, "films_bytes": size})
    if given or any(stay.values()):
        log.info("retention.done", studies=given, kept_for_delivery=stay["delivery"], kept_for_work=stay["work"],
                 kept_unread=stay["open"], films_bytes=size)  # fmt: skip
    return given


def _oldest_first(store: Store, now: float) -> Iterator[Old]:
    """Every study whose films are here, the oldest first, in portions, so that no sender waits for long."""
    after = 0.0
    seen: set[str] = set()
    while True:
        with store.reading() as tx:
            portion = [old for old in retention.oldest(tx, after, now, _AT_ONCE) if old.study not in seen]
        if not portion:
            return
        seen |= {old.study for old in portion}
        after = portion[-1].last
        yield from portion


def _give_up(config: Config, store: Store, spool: Spool, old: Old, *, reason: str, now: float) -> None:
    """First it is written down, then the files go: whatever falls in between is removed by the next reconciliation."""
    with store.transaction() as tx:
        given = retention.give_up(tx, old.study, now, reason=reason, documents=config.retention.keep == "nothing")
    pictures = [spool.picture(digest) for digest in given.digests]
    for path in [*map(spool.path, [*given.films, *given.documents]), *pictures]:
        path.unlink(missing_ok=True)


def back_up(config: Config, store: Store, now: float) -> Path | None:
    """Copy the database, and remove copies beyond those that stay. A failure is an event, and `backup.failed`."""
    folder = config.backup.folder or backups_of(config.node.data_dir)
    target = folder / f"cxr-node-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}.sqlite"
    try:
        size = copy(database_of(config), target)
    except Permanent as error:
        log.error("backup.failed", code=error.code, reason=error.message)
        with store.transaction() as tx:
            events.append(tx, now, "backup.failed", None, code=error.code, reason=error.message)
        return None
    for path in sorted(folder.glob("cxr-node-*.sqlite"))[: -config.backup.keep]:
        path.unlink(missing_ok=True)
    with store.transaction() as tx:
        events.append(tx, now, "backup.made", None, bytes=size)
    log.info("backup.made", file=target.name, bytes=size)
    return target


def back_up_if_due(config: Config, store: Store, now: float) -> None:
    """The last copy counts whenever it was made, so that restarts make no more of them."""
    if not config.backup.hours:
        return
    with store.reading() as tx:
        made = events.latest(tx, "backup.made")
    if made is None or made["time"] <= now - config.backup.hours * 3600:
        back_up(config, store, now)


def listen_for_silence(store: Store, now: float) -> list[Machine]:
    """Which X-ray machines have gone silent; who has begun or ended to be is told, once."""
    with store.transaction() as tx:
        known = machines.known(tx, now)
        before = {one["name"] for one in settings.get(tx, MACHINES, []) if one["silent"]}
        silent = {one.name for one in known if one.expected is not None and one.expected >= SILENT_FROM}
        settings.put(tx, MACHINES, [{**asdict(one), "silent": one.name in silent} for one in known])
        for one in known:
            if one.name in silent - before:
                events.append(tx, now, "machine.silent", None, machine=one.name, last=one.last, expected=one.expected)
                log.warning("machine.silent", machine=one.name, hours=round((now - one.last) / 3600, 1),
                            expected_films=round(one.expected or 0, 1))  # fmt: skip
            elif one.name in before - silent:
                events.append(tx, now, "machine.heard", None, machine=one.name)
                log.info("machine.heard", machine=one.name)
    return [one for one in known if one.name in silent]
