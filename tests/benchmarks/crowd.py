"""A hundred X-ray machines at once: how long they take, and how much memory the node has at most."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import rig
from tests.benchmarks.figures import Figure, Scale
from tests.benchmarks.load import Films, send

WHOLE = "most memory of the whole node"
_PLACES = 128  # an eighth is kept for callers that send no objects
_LOOK_SECONDS = 0.1


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """One film over each association, all at once, each time to a fresh node that analyses them."""
    films = Films(folder / "films", next(iter(scale.sizes.values())))
    for associations in scale.crowd:
        told, place = row(associations, scale), folder / str(associations)
        with rig.node(place, places=_PLACES) as node:
            with _most_memory(node.pid) as most:
                seconds = send(node, films.make(associations), associations)
                rig.await_idle(place)
            yield Figure(told, "until all are acknowledged", "s", [seconds])
            yield Figure(told, "acknowledged", "films/s", [associations / seconds])
            yield Figure(told, "most memory of `serve`", "MB", [rig.peak_megabytes(node.pid)])
            yield Figure(told, WHOLE, "MB", [max(most)])
        rig.empty(place)


def row(associations: int, scale: Scale) -> str:
    return f"associations at once: {associations}, a film of {next(iter(scale.sizes))} over each"


@contextmanager
def _most_memory(pid: int) -> Iterator[list[float]]:
    """Resident memory of a process and its children, looked at again and again."""
    seen, ended = [rig.resident_megabytes(pid)], threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            seen.append(rig.resident_megabytes(pid))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield seen
    finally:
        ended.set()
        watching.join()
