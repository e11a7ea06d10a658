"""What a request to a pool costs: in Serve's proxy, in the replica, in the node; on a Ray cluster of this machine.

The proxy is what all requests to one address go through. As a process of Python it has one core, so it is full where
the replicas behind it answer as many requests a second as it passes on.
"""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from cxr_node.inference.build import builtin_directory
from cxr_node.inference.manifest import find
from cxr_node.inference.pool import Pool
from cxr_node.inference.pooled import PooledPredictor
from tests.benchmarks.figures import Figure, Scale
from tests.cluster import PROXY, REPLICA, Cluster

Floats = NDArray[np.float32]
FILMS = (1, 8, 32)
_REQUESTS = 20
"""In one round, for each of the scale's rounds and one before that is not counted."""


def measure(_: Path, scale: Scale) -> Iterator[Figure | str]:
    """One request after the other, with so many films in each."""
    model = find(None, "cxr-pneumonia")
    films = np.random.default_rng(1).random((max(FILMS), model.size, model.size)).astype(np.float32)
    with Cluster(builtin_directory()) as cluster, closing(Pool(cluster.address, 60.0)) as pool:
        cluster.pool("deploy", model.called, "--least", "1")
        there = PooledPredictor(model, pool, None)
        for count in FILMS:
            yield from _asked(cluster, there, films[:count], scale.rounds)
    yield "One node and one replica of one thread, on the same cores; what Ray does beside is not counted."


def _asked(cluster: Cluster, there: PooledPredictor, films: Floats, rounds: int) -> Iterator[Figure]:
    row, took = f"films in a request: {len(films)}", []
    costs: dict[str, list[float]] = {name: [] for name in _spent(cluster)}
    for number in range(rounds + 1):
        before = _spent(cluster)
        for _ in range(_REQUESTS):
            began = time.perf_counter()
            there.predict(films)
            if number:
                took.append(1000 * (time.perf_counter() - began))
        for name, spent in _spent(cluster).items():
            if number:
                costs[name].append(1000 * (spent - before[name]) / _REQUESTS)
    yield Figure(row, "answered", "ms", took, tail=True)
    for name, samples in costs.items():
        yield Figure(row, f"processor time: {name}", "ms", samples)
    full = 1000 / median(costs["proxy"])
    yield Figure(row, "a proxy is full at", "requests/s", [full])
    yield Figure(row, "which are", "films/s", [full * len(films)])
    cores = [replica / proxy for replica, proxy in zip(costs["replica"], costs["proxy"], strict=True)]
    yield Figure(row, "of one core each", "replicas", cores)


def _spent(cluster: Cluster) -> dict[str, float]:
    """Seconds of processor time of each so far."""
    tick = os.sysconf("SC_CLK_TCK")

    def of(title: str) -> float:
        found = 0
        for pid in cluster.processes(title):
            user, system = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[11:13]
            found += int(user) + int(system)
        return found / tick

    return {"proxy": of(PROXY), "replica": of(REPLICA), "node": time.process_time()}
