"""What `check` says of a node's hub, and at a hub of its sites."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, Final

from cxr_node.config import Config
from cxr_node.errors import Transient
from cxr_node.plan import has_database, open_store
from cxr_node.regional import region_of
from cxr_node.upkeep_checks import Look
from cxr_node.workstations import hub_of

_LATE_SECONDS: Final = 60.0


def look(config: Config, now: float, *, offline: bool) -> Iterator[Look]:
    """Raises ConfigError for a credential that is not there, and as `open_store`."""
    found: dict[str, Any] = {"hub": None, "sites": []}
    if (config.hub.url or config.hub.sites) and has_database(config):
        with closing(open_store(config, create=False)) as store:
            found = region_of(config, store, now)
    if config.hub.url:
        yield _hub(config, found["hub"], offline=offline)
    known = {site["name"]: site for site in found["sites"]}
    for name in config.hub.sites:
        yield _site(known.get(name), name, now)


def _hub(config: Config, told: dict[str, Any] | None, *, offline: bool) -> Look:
    at = hub_of(config)
    if at is None:
        return "note", "hub", "is told nothing, since the mode is shadow"
    if offline:
        return "note", "hub", "not called (--offline)"
    try:
        at.reach()
    except Transient as error:
        return "failed", "hub", error.message
    url = config.hub.url
    if told and told["behind_seconds"] > _LATE_SECONDS:
        count, minutes = told["behind"], told["behind_seconds"] / 60
        said = (
            f"answers at {url}, and is still to be told of {count} studies, since {minutes:.0f} min: the log says why"
        )
        return "warning", "hub", said
    return "ok", "hub", f"answers at {url}"


def _site(site: dict[str, Any] | None, name: str, now: float) -> Look:
    subject = f"site {name}"
    if site is None or site["heard_at"] is None:
        return "warning", subject, "has never come: does it have the token, this address, and a mode other than shadow?"
    minutes = (now - datetime.fromisoformat(site["heard_at"]).timestamp()) / 60
    if site["silent"]:
        return (
            "warning",
            subject,
            f"silent for {minutes:.0f} min; {site['open']} studies of it are open, as they stood then",
        )
    return "ok", subject, f"heard of {minutes:.0f} min ago; {site['open']} studies of it are open"
