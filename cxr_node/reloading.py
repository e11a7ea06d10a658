"""What of the configuration may change while the node runs, and what a changed file makes of it."""

from dataclasses import dataclass
from typing import Any, Final

from cxr_node.config import Config
from cxr_node.config.file import validated

MAY_CHANGE: Final = frozenset(
    {
        "destination",
        "model.thresholds",
        "worklist.tiers",
        "worklist.max_wait_minutes",
        "worklist.read_after_hours",
        "worklist.hl7",
    }
)
"""Tables, and keys of tables, that take effect with SIGHUP. The others are read when the node starts."""


@dataclass(frozen=True, slots=True)
class Reread:
    """The configuration to work by from now on, which keys it has changed, and which wait for a restart."""

    config: Config
    changed: tuple[str, ...]
    waiting: tuple[str, ...]


def reread(now: Config, wanted: Config) -> Reread:
    """What a running node makes of a file that says `wanted`. Raises ConfigError where what it may take does not fit
    what it may not."""
    old, new = now.model_dump(), wanted.model_dump()
    different = [name for name in _names(old) if _value(old, name) != _value(new, name)]
    changed = tuple(name for name in different if name in MAY_CHANGE)
    for name in changed:
        table, _, key = name.partition(".")
        if key:
            old[table][key] = new[table][key]
        else:
            old[table] = new[table]
    waiting = tuple(name for name in different if name not in MAY_CHANGE)
    source = "with what may not change while the node runs"
    return Reread(validated(old, source) if changed else now, changed, waiting)


def _names(tables: dict[str, Any]) -> list[str]:
    """Every key as table.key; tables that may be repeated as one."""
    return [
        name
        for table, keys in tables.items()
        for name in ([f"{table}.{key}" for key in keys] if isinstance(keys, dict) else [table])
    ]


def _value(tables: dict[str, Any], name: str) -> Any:
    table, _, key = name.partition(".")
    return tables[table][key] if key else tables[table]
