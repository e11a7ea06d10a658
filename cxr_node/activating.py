"""`cxr-node models activate` and `rollback`: what an operator wants of the model in service, asked of a running node or
made for its next start."""

import time

from cxr_node.config import Config
from cxr_node.errors import ConfigError, Permanent
from cxr_node.inference import build
from cxr_node.inference.manifest import Manifest
from cxr_node.lock import is_held
from cxr_node.plan import Plan
from cxr_node.store import activations, events
from cxr_node.store.activations import Activation, Stack, Wanted
from cxr_node.store.db import Store

_PATIENCE_SECONDS = 240.0  # longer than a node waits for a model that is being loaded
_LOOK_AGAIN_SECONDS = 0.2


def activate(config: Config, store: Store, model: Manifest, by: str) -> str:
    """Put a model in service; what came of it, in a sentence.

    Raises ConfigError where the configuration does not fit the model, Permanent as `verify` does, and NOT_ACTIVATED
    where a running node could not load it, or does not answer.
    """
    build.verify(model)
    wanted = Activation(model.name, model.version, model.digest, by, time.time())
    Plan.of(config, wanted).judging()  # a mistake in the configuration is told before anything is asked for
    stack = _stack(store)
    if _serving(config, stack) == model.digest:
        return f"{model.name} {model.version} is in service already"
    return _change(config, store, (*stack, wanted), by)


def rollback(config: Config, store: Store, by: str) -> str:
    """Put the model in service again that was before the last activation; what came of it, in a sentence.

    Raises Permanent: NO_ACTIVATION where there was none, NOT_ACTIVATED as `activate`.
    """
    stack = _stack(store)
    if not stack:
        raise Permanent("NO_ACTIVATION", "no model was activated; the one that the configuration names is in service")
    return _change(config, store, stack[:-1], by)


def _stack(store: Store) -> Stack:
    with store.reading() as tx:
        return activations.stack(tx)


def _serving(config: Config, stack: Stack) -> str | None:
    """The digest of the model in service; None where it is not there any more."""
    try:
        return _of(config, stack).digest
    except ConfigError:
        return None


def _of(config: Config, stack: Stack) -> Manifest:
    return Plan.of(config, stack[-1] if stack else None).manifest


def _change(config: Config, store: Store, stack: Stack, by: str) -> str:
    change, model = Wanted(stack, by, time.time()), _of(config, stack)
    if is_held(config.node.data_dir):
        with store.transaction() as tx:
            activations.want(tx, change)
        _await(store, change, model)
        return f"{model.name} {model.version} is in service"
    before = _serving(config, _stack(store)) or "unknown"
    with store.transaction() as tx:
        activations.make(tx, change, model.digest, before, time.time())
    return f"{model.name} {model.version} is in service from the node's next start on"


def _await(store: Store, change: Wanted, model: Manifest) -> None:
    """Wait until a running node has made a change. Raises Permanent("NOT_ACTIVATED") where it has not."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        with store.reading() as tx:
            waiting = activations.wanted(tx) == change
            refused, made = (events.latest(tx, f"model.{what}") for what in ("not_activated", "activated"))
        if not waiting and refused and refused["time"] >= change.at:
            raise Permanent("NOT_ACTIVATED", f"the model in service stays: {refused['reason']}")
        if not waiting and made and made["time"] >= change.at:
            if made["digest"] != model.digest:
                raise Permanent("NOT_ACTIVATED", f"{made['by']} asked for another model meanwhile, which is in service")
            return
        time.sleep(_LOOK_AGAIN_SECONDS)
    raise Permanent("NOT_ACTIVATED", "the node has not answered yet; `cxr-node status` will tell")
