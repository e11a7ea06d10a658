"""A hundred X-ray machines at once: how long they take, and how much memory the process that receives has at most."""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import rig

_PLACES = 128  # an eighth is kept for callers that send no objects


def measure(folder: Path) -> Iterator[str]:
    """Rows of a Markdown table: one film of 15 MB over each association, all at once, each time to a fresh node."""
    yield "| associations at once | s until all are acknowledged | films/s | peak resident memory of `serve`, MB |"
    yield "| ---: | ---: | ---: | ---: |"
    films = rig.write_films(folder / "films", 100)
    for associations in (1, 10, 100):
        with rig.node(folder / str(associations), analysing=False, places=_PLACES) as node:
            seconds = rig.send(node, films[:associations], associations)
            speed, peak = associations / seconds, rig.peak_megabytes(node.pid)
            yield f"| {associations} | {seconds:.1f} | {speed:.1f} | {peak:.0f} |"
        rig.empty(folder / str(associations))
