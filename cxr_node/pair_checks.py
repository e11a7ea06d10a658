"""What `check` says of two nodes that take turns."""

from collections.abc import Iterator
from typing import Literal

from cxr_node import attendance, lease
from cxr_node.config import Config
from cxr_node.domain.clock import iso
from cxr_node.lock import is_held

Look = tuple[Literal["ok", "note", "warning", "failed"], str, str]
"""A verdict, what was looked at, and what was found."""


def look(config: Config) -> Iterator[Look]:
    """Nothing where there is no pair. Raises as `lease.read`."""
    name, data = config.pair.name, config.node.data_dir
    if name is None:
        return
    found = lease.read(data)
    if found is None:
        yield "note", "pair", f"neither node has been started on {data.resolve()}; the first one will work"
    elif found.released or not is_held(data):
        yield "warning", "pair", f"nobody works; {found.name} did so last, under term {found.term}"
    elif found.name == name:
        yield "ok", "pair", f"{name}, which is this node, works since {iso(found.since)}, under term {found.term}"
        if (other := attendance.standing_by(data, found.name)) is None:
            yield "warning", "pair", "nobody stands by: if this host dies, no other takes over"
        else:
            yield "ok", "pair", f"{other} is there to take over"
    else:
        yield "note", "pair", f"{found.name} works since {iso(found.since)}, under term {found.term}; {name} stands by"
