"""Receiving: this node, with every film synced and committed, beside two receivers that sync nothing.

All of them run all the time, and each is given some films in turn, so that a busy moment of the machine falls on all.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import rig
from tests.benchmarks.figures import Figure, Scale, ratios
from tests.benchmarks.load import SYNTAXES, Films, send

SCP, ORTHANC = "dcmtk storescp --fork, no fsync", "Orthanc, no fsync"
OURS, ANALYSING = "cxr_node, fsync and commit", "cxr_node, the same while analysing"


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Films a second by receiver, size, syntax and associations; ours against the others, round by round."""
    with ExitStack() as stack:
        receivers = {
            SCP: stack.enter_context(rig.storescp(folder / "scp")),
            ORTHANC: stack.enter_context(rig.orthanc(folder / "orthanc")),
            OURS: stack.enter_context(rig.node(folder / "ours", analysing=False)),
            ANALYSING: stack.enter_context(rig.node(folder / "analysing")),
        }
        for size, shape in scale.sizes.items():
            for syntax in SYNTAXES:
                films = Films(folder / f"{size} {syntax}", shape, syntax)
                group = f"films of {size}, {syntax}" + (
                    "" if syntax == "uncompressed" else f" ({films.megabytes:.1f} MB)"
                )
                for associations in scale.associations:
                    taken = _rounds(receivers, films, associations, scale)
                    yield from _told(taken, column(associations), group)
                    _forget(folder)


def column(associations: int) -> str:
    return f"{associations} at once"


def _rounds(
    receivers: Mapping[str, rig.Receiver], films: Films, associations: int, scale: Scale
) -> dict[str, list[float]]:
    count = max(scale.batch, 2 * associations)
    taken: dict[str, list[float]] = {name: [] for name in receivers}
    for number in range(scale.rounds + 1):
        for name, receiver in receivers.items():
            batch = films.make(count)
            os.sync()  # what others have not written yet is not to be written in this one's time
            speed = count / send(receiver, batch, associations, films.syntax)
            if name == ANALYSING:
                rig.await_idle(receiver.folder)
            if number:  # the first round warms up
                taken[name].append(speed)
    return taken


def _told(taken: Mapping[str, list[float]], column: str, group: str) -> Iterator[Figure]:
    figures = {name: Figure(name, column, "films/s", samples, group) for name, samples in taken.items()}
    yield from figures.values()
    for name in (OURS, ANALYSING):
        yield ratios(figures[name], figures[SCP], f"{column}, against storescp")
        yield ratios(figures[name], figures[ORTHANC], f"{column}, against Orthanc")


def _forget(folder: Path) -> None:
    """Give the disk back what was received; nobody reads it again."""
    for path in folder.rglob("*.dcm"):
        path.unlink()
    for path in (folder / "scp").iterdir():
        path.unlink()
