"""Which model a person put in service, whatever the configuration says, and what was in service before.

A stack: an activation is pushed, a rollback takes it off again; with none the configuration decides. What is wanted is
written first, and becomes true when a running node has the model at hand.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cxr_node.store import events
from cxr_node.store.db import Tx

_NAME, _WANTED = "activations", "activations_wanted"


@dataclass(frozen=True, slots=True)
class Activation:
    """A model build, who put it in service, and when (seconds since 1970 UTC)."""

    name: str
    version: str
    digest: str
    by: str
    at: float


Stack = tuple[Activation, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The stack that is to be, and who wants it."""

    stack: Stack
    by: str
    at: float


def stack(tx: Tx) -> Stack:
    """What was activated and not rolled back: the last of it is in service; where it is empty, the configuration's."""
    row = tx.row("SELECT value FROM setting WHERE name = ?", (_NAME,))
    return _stack(json.loads(row["value"])) if row else ()


def wanted(tx: Tx) -> Wanted | None:
    row = tx.row("SELECT value FROM setting WHERE name = ?", (_WANTED,))
    if row is None:
        return None
    kept = json.loads(row["value"])
    return Wanted(_stack(kept["stack"]), kept["by"], kept["at"])


def want(tx: Tx, change: Wanted) -> None:
    """Ask for a change; one that was asked for before and is not made yet is forgotten."""
    _put(tx, _WANTED, json.dumps(asdict(change)))


def make(tx: Tx, change: Wanted, digest: str, before: str, now: float) -> None:
    """A change that was asked for is made: `digest` is in service, and `before` was."""
    _put(tx, _NAME, json.dumps([asdict(each) for each in change.stack]))
    top = change.stack[-1] if change.stack else None
    _drop(tx, change)
    events.append(
        tx, now, "model.activated", None,
        model=top.name if top else None, version=top.version if top else None, digest=digest, before=before,
        by=change.by, meaning="as a person said" if top else "as the configuration says",
    )  # fmt: skip


def refuse(tx: Tx, change: Wanted, code: str, reason: str, now: float) -> None:
    """A change that was asked for cannot be made; the model in service stays."""
    _drop(tx, change)
    events.append(tx, now, "model.not_activated", None, code=code, reason=reason, by=change.by)


def _drop(tx: Tx, change: Wanted) -> None:
    waiting = wanted(tx)
    if waiting is not None and waiting.at <= change.at:  # else somebody has asked for another one since
        tx.execute("DELETE FROM setting WHERE name = ?", (_WANTED,))


def _put(tx: Tx, name: str, value: str) -> None:
    tx.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, value))


def _stack(kept: Sequence[dict[str, object]]) -> Stack:
    return tuple(Activation(**each) for each in kept)  # type: ignore[arg-type]
