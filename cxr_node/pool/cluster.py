"""The pool on a Ray cluster: deployed, looked at, removed. Each build of a model is an application of its own."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ray
from ray import serve
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview

from cxr_node.errors import Permanent, Transient
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.pool import MOST_FILMS
from cxr_node.pool.replica import Replica

_DEPLOYMENT: Final = "films"
"""What tells our applications from others of the same cluster."""
_LOOK_SECONDS: Final = 0.5
_LONGEST_REQUEST: Final = 60.0  # seconds; no node waits longer
_TRIES: Final = 3
_HEALTH_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What replicas of a model are to have.

    There are `least` to `most` of them, as many as keep the requests in flight at each below `queue`. `gpus` (a share
    of a card is a fraction) and `cpus` are each one's own. `batch`: films that are judged together at most.
    """

    least: int
    most: int
    gpus: float
    cpus: float
    batch: int
    queue: int


@dataclass(frozen=True, slots=True)
class Deployed:
    """A model in the pool: NAME:VERSION, Ray's word for how it is, its replicas that serve, and what Ray says of it."""

    model: str
    state: str
    running: int
    message: str


@contextmanager
def joined(address: str) -> Iterator[None]:
    """As a client of the cluster at HOST:PORT; `auto` is the one on this machine. Raises Transient POOL_CLUSTER."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        if address != "auto":
            _reach(address)  # Ray itself tries for minutes
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        why = f"there is no Ray cluster at {address}: begin one with `ray start --head`, or name its HOST:PORT"
        raise Transient("POOL_CLUSTER", why) from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()


def deploy(
    model: Manifest,
    directory: Path | None,
    wishes: Wishes,
    *,
    host: str,
    port: int,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Deployed:
    """Put a model in the pool, or its replicas anew in the place of those that are there, some at a time.

    `host` and `port` are where every machine of the cluster takes requests; they hold from the first model on. Waits
    until it serves, for `seconds` at most. Raises Permanent POOL_DEPLOY with what Ray says where it does not.
    """
    serve.start(
        proxy_location="EveryNode", http_options={"host": host, "port": port, "request_timeout_s": _LONGEST_REQUEST}
    )
    replicas = serve.deployment(
        name=_DEPLOYMENT,
        ray_actor_options={"num_gpus": wishes.gpus, "num_cpus": wishes.cpus},
        max_ongoing_requests=2 * max(wishes.queue, wishes.batch),
        autoscaling_config={
            "min_replicas": wishes.least,
            "initial_replicas": wishes.least,
            "max_replicas": wishes.most,
            "target_ongoing_requests": wishes.queue,
        },
        max_surge_percent=100 if wishes.least == 1 else 0,  # the only one serves until the next can
        max_constructor_retry_count=_TRIES,
        health_check_period_s=_HEALTH_SECONDS,
    )(Replica)
    folder = None if directory is None else str(directory.resolve())
    application = replicas.bind(folder, model.called, model.digest, max(wishes.batch, MOST_FILMS))
    target = serve.RunTarget(application, model.called, f"/{model.name}/{model.version}")
    serve.run_many([target], wait_for_applications_running=False)
    until = monotonic() + seconds
    while (found := _applications().get(model.called)) is None or found.status != ApplicationStatus.RUNNING:
        if monotonic() > until or (found and found.status == ApplicationStatus.DEPLOY_FAILED):
            said = f"{found.status.value}: {_told(found)}" if found else "nothing is known of it"
            raise Permanent("POOL_DEPLOY", f"the model {model.called} does not serve in the pool; {said}")
        sleep(_LOOK_SECONDS)
    return _deployed(model.called, found)


def status() -> list[Deployed]:
    """Every model in the pool, by name."""
    return [_deployed(called, found) for called, found in sorted(_applications().items())]


def remove(called: str) -> None:
    """Take a model out of the pool, when the requests in hand are done. Raises Permanent POOL_MODEL."""
    known = _applications()
    if called not in known:
        raise Permanent("POOL_MODEL", f"the pool has no model {called}; there are: {', '.join(known) or 'none at all'}")
    serve.delete(called)


def _applications() -> dict[str, ApplicationStatusOverview]:
    """Ours: others may be on the same cluster."""
    found = serve.status().applications
    return {called: each for called, each in found.items() if _DEPLOYMENT in each.deployments}


def _deployed(called: str, found: ApplicationStatusOverview) -> Deployed:
    states = found.deployments[_DEPLOYMENT].replica_states
    running = sum(count for state, count in states.items() if str(getattr(state, "value", state)) == "RUNNING")
    return Deployed(called, str(found.status.value), running, _told(found))


def _told(found: ApplicationStatusOverview) -> str:
    messages = (found.message, *(each.message for each in found.deployments.values()))
    return " ".join(" ".join(message.split()) for message in messages if message)
