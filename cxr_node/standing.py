"""What an operator wants to know of the upkeep of a node: machines, copies, certificates, files; part of `status`."""

import shutil
from pathlib import Path
from typing import Any

from cxr_node import attendance, lease, tls, trust
from cxr_node.caring import MACHINES, RETAINED
from cxr_node.config import Config
from cxr_node.domain.clock import iso
from cxr_node.errors import ConfigError
from cxr_node.regional import region_of
from cxr_node.store import events, retention, settings
from cxr_node.store.db import Store
from cxr_node.watching import DRIFT


def standing(config: Config, store: Store, now: float) -> dict[str, Any]:
    """Keys of `status --json`: `machines`, `drift`, `backup`, `certificates`, `retention`, `disk_total_bytes`, `pair`,
    and those of `regional.region_of`; as of `now`."""
    with store.reading() as tx:
        machines = settings.get(tx, MACHINES, [])
        drift = settings.get(tx, DRIFT, [])
        backup, failed = events.latest(tx, "backup.made"), events.latest(tx, "backup.failed")
        retained, films = settings.get(tx, RETAINED, None), retention.states(tx)
    late = failed is not None and (backup is None or failed["time"] > backup["time"])
    return {
        "machines": [
            {"name": one["name"], "films": one["films"], "last_at": iso(one["last"]), "silent": one["silent"],
             "expected_films": one["expected"]}
            for one in machines
        ],
        "drift": drift,
        "backup": {
            "last_at": iso(backup["time"]) if backup else None,
            "bytes": backup["bytes"] if backup else None,
            "failed": failed["reason"] if failed and late else None,
        },
        "certificates": _certificates(config),
        "retention": {**films, "stay": retained["stay"] if retained else None},
        "disk_total_bytes": _total(config.node.data_dir),
        "pair": _pair(config),
        **region_of(config, store, now),
    }  # fmt: skip


def _certificates(config: Config) -> list[dict[str, str]]:
    """Those that the node shows, and until when they hold; one that cannot be read is told by `check`."""
    try:
        own = [(str(one.certificate), tls.validity(one.certificate)[1]) for one in trust.identities(config)]
    except ConfigError:
        return []
    return [{"file": name, "until": iso(end.timestamp())} for name, end in own]


def _pair(config: Config) -> dict[str, Any] | None:
    """Which of two nodes this is, which one works or did so last, and who stands by; None where there is no pair."""
    if config.pair.name is None:
        return None
    found = lease.read(config.node.data_dir)
    if found is None:
        return {"name": config.pair.name, "works": None, "term": None, "since": None, "stands_by": None}
    other = attendance.standing_by(config.node.data_dir, found.name)
    return {
        "name": config.pair.name,
        "works": found.name,
        "term": found.term,
        "since": iso(found.since),
        "stands_by": other,
    }


def _total(folder: Path) -> int | None:
    return shutil.disk_usage(folder).total if folder.is_dir() else None
