"""Listener and documents' worker: one process or two? The figures behind docs/adr/0002.

`python -m tests.benchmarks.processes -c FILE` runs a node whose worker is a thread of the listener's process.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cxr_node import config as configuration
from cxr_node import roles
from cxr_node.config import Config
from cxr_node.daemon import Daemon
from cxr_node.observe import log
from cxr_node.pipeline import assemble
from cxr_node.worker import Worker
from tests.benchmarks import latency, rig

_FILMS = 40


class OneProcess(Daemon):
    """The same node with the worker's lanes as threads beside the listener's."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._children = [child for child in self._children if child.role == "infer"]
        values, self._lanes = roles.ROLES["work"](self._plan, self._store)
        self._worker = Worker(
            self._store, assemble("work", values), roles.owner_of("work", os.getpid()), wake=self._wake
        )

    def _start(self) -> None:
        super()._start()
        threading.Thread(target=self._worker.run, args=(self._lanes,), daemon=True).start()

    def _wake(self) -> None:
        super()._wake()
        self._worker.bell.ring()

    def _stop(self) -> None:
        self._worker.stop()
        super()._stop()


def measure(folder: Path) -> Iterator[str]:
    """Rows of a Markdown table: receiving and finishing the same films under both arrangements."""
    yield "| listener and worker | films/s acknowledged while all is worked on | studies/s to SR and heat map stored |"
    yield "| --- | ---: | ---: |"
    films = rig.write_films(folder / "films", _FILMS)
    launch = (sys.executable, "-m", "tests.benchmarks.processes")
    for name, command in (("one process", launch), ("two processes", ())):
        place = folder / name.replace(" ", "-")
        with (
            rig.storescp(place / "archive") as archive,
            rig.node(place / "node", destination=archive, launch=command) as node,
        ):
            database = place / "node" / "var" / "cxr-node.sqlite"
            latency.await_documents(database, 0, ready=True)
            began = time.perf_counter()
            acknowledged = rig.send(node, films, 2)
            latency.await_documents(database, 2 * len(films))
            finished = time.perf_counter() - began
        yield f"| {name} | {len(films) / acknowledged:.1f} | {len(films) / finished:.1f} |"


if __name__ == "__main__":
    settings = configuration.load(Path(sys.argv[2]))
    log.configure(settings.log.level, settings.log.format)
    OneProcess(settings).run()
