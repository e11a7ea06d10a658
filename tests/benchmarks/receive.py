"""Receiving: this node, with every film synced and committed, beside two receivers that sync nothing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

from tests.benchmarks import rig

_ROUNDS = 3
_FILMS = 16


def measure(folder: Path) -> Iterator[str]:
    """Rows of a Markdown table: films a second, 15 MB each, over one and over four associations."""
    yield "| receiver | 1 association, films/s | 4 associations, films/s | against storescp | against Orthanc |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    films = rig.write_films(folder / "films", _FILMS)
    receivers: dict[str, Callable[[Path], AbstractContextManager[rig.Receiver]]] = {
        "dcmtk storescp --fork, no fsync": rig.storescp,
        "Orthanc, no fsync": rig.orthanc,
        "cxr_node, fsync and commit": lambda place: rig.node(place, analysing=False),
        "cxr_node, the same while analysing": rig.node,
    }
    speeds = {name: _speeds(folder / "receiver", start, films) for name, start in receivers.items()}
    scp, orthanc = list(speeds.values())[:2]
    for name, (one, four) in speeds.items():
        ratios = " | ".join(f"{one / base[0]:.2f}x, {four / base[1]:.2f}x" for base in (scp, orthanc))
        yield f"| {name} | {one:.1f} | {four:.1f} | {ratios} |"


def _speeds(
    place: Path, start: Callable[[Path], AbstractContextManager[rig.Receiver]], films: list[Path]
) -> tuple[float, float]:
    """Medians of several rounds, each against a fresh receiver; the first films of each warm it up."""
    measured: list[list[float]] = []
    for _ in range(_ROUNDS):
        round_ = []
        for associations in (1, 4):
            rig.empty(place)
            with start(place) as receiver:
                rig.send(receiver, films[:2], 1)
                rest = films[2:]
                round_.append(len(rest) / rig.send(receiver, rest, associations))
        measured.append(round_)
    rig.empty(place)
    return median(one for one, _ in measured), median(four for _, four in measured)
