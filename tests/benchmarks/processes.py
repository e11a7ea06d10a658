"""Listener and documents' worker: one process or two? The figures behind docs/adr/0002.

`python -m tests.benchmarks.processes -c FILE` runs a node whose worker is a thread of the listener's process.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cxr_node import config as configuration
from cxr_node import roles
from cxr_node.config import Config
from cxr_node.daemon import Daemon
from cxr_node.observe import log
from cxr_node.pipeline import assemble
from cxr_node.worker import Worker
from tests.benchmarks import rig, throughput
from tests.benchmarks.figures import Figure, Scale
from tests.benchmarks.load import Films, send


class OneProcess(Daemon):
    """The same node with the worker's lanes as threads beside the listener's."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        super().__init__(config, read)
        self._service._children = {**self._service._children, "work": _Inside(self)}


class _Inside:
    """Stands where the child of this role would: its lanes are threads of this process."""

    def __init__(self, node: OneProcess) -> None:
        part = roles.ROLES["work"](node._service.plan, node._store)
        self._lanes = part.lanes
        self._worker = Worker(
            node._store,
            assemble("work", part.values),
            roles.owner_of("work", os.getpid()),
            wake=node._service.wake,
            batch_size=part.batch_size,
            pseudonym=node._pseudonyms.study,
        )

    def start(self) -> None:
        threading.Thread(target=self._worker.run, args=(self._lanes,), daemon=True).start()

    def stop(self, _: float) -> None:
        self._worker.stop()

    def wake(self) -> None:
        self._worker.bell.ring()

    def ping(self) -> None:
        """It beats in the process that asks."""

    def alive(self) -> bool:
        return not self._worker.broken


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Receiving and finishing films of the first size under both arrangements."""
    films = Films(folder / "films", next(iter(scale.sizes.values())))
    launch = (sys.executable, "-m", "tests.benchmarks.processes")
    arrangements: dict[str, tuple[str, ...]] = {"one process": launch, "two processes": ()}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in arrangements}
    for _ in range(scale.rounds):  # interleaved, so that a busy moment of the machine falls on both
        for name, command in arrangements.items():
            measured[name].append(_round(folder / "place", films.make(2 * scale.batch), command))
    for name, rounds in measured.items():
        acknowledged, finished = zip(*rounds, strict=True)
        yield Figure(name, "acknowledged while all is worked on", "films/s", acknowledged)
        yield Figure(name, "SR and heat map stored", "studies/s", finished)


def _round(place: Path, films: list[Path], launch: tuple[str, ...]) -> tuple[float, float]:
    """Films acknowledged a second, and studies finished a second."""
    rig.empty(place)
    with (
        rig.storescp(place / "archive") as archive,
        rig.node(place / "node", destination=archive, launch=launch) as node,
    ):
        began = time.perf_counter()
        acknowledged = send(node, films, 2)
        rig.await_count(node.folder, throughput.DONE, 2 * len(films))
        return len(films) / acknowledged, len(films) / (time.perf_counter() - began)


if __name__ == "__main__":
    settings = configuration.load(Path(sys.argv[2]))
    log.configure(settings.log.level, settings.log.format)
    OneProcess(settings, lambda: settings).run()
