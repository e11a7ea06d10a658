"""What is measured: figures with all their samples, how much of it, and how they are written down."""

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

Percentiles = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One cell of a table: `samples` in `unit`, in the order in which they were taken.

    `group` is the table, where a part has several. `tail`: the slow ones matter, so that the 95th and 99th percentile
    are told, and not the range.
    """

    row: str
    column: str
    unit: str
    samples: Sequence[float]
    group: str = ""
    tail: bool = False

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def range(self) -> tuple[float, float]:
        return min(self.samples), max(self.samples)

    @property
    def percentiles(self) -> Percentiles:
        """Median, 95th and 99th."""
        if len(self.samples) == 1:
            return (self.samples[0],) * 3
        cuts = quantiles(self.samples, n=100, method="inclusive")
        return cuts[49], cuts[94], cuts[98]

    def __str__(self) -> str:
        if self.tail:
            return " / ".join(number(each) for each in self.percentiles)
        least, most = self.range
        told = number(self.median)
        return told if number(least) == told == number(most) else f"{told} ({number(least)}..{number(most)})"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured. `sizes`: rows and columns of films; `history`: studies in the database."""

    name: str
    rounds: int
    batch: int
    repeats: int
    sizes: Mapping[str, tuple[int, int]]
    associations: Sequence[int]
    crowd: Sequence[int]
    open_studies: int
    history: Sequence[int]
    arrivals: int


FULL = Scale(
    "full", 3, 16, 30, {"15 MB": (3000, 2500), "2 MB": (1000, 1000)}, (1, 4, 16), (1, 10, 100), 10_000,
    (0, 100_000, 1_000_000), 60,
)  # fmt: skip
QUICK = Scale("quick", 2, 4, 5, {"0.4 MB": (500, 400)}, (1, 2), (1, 4), 200, (0, 200, 1000), 5)
"""Minutes: it shows that all of it works, and says nothing about a machine."""


@dataclass(slots=True)
class Part:
    """What one part of the benchmarks found: figures, and sentences about them."""

    name: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, found: Figure | str) -> None:
        (self.notes if isinstance(found, str) else self.figures).append(found)  # type: ignore[arg-type]

    def groups(self) -> dict[str, list[Figure]]:
        found: dict[str, list[Figure]] = {}
        for figure in self.figures:
            found.setdefault(figure.group, []).append(figure)
        return found

    def markdown(self) -> Iterator[str]:
        for group, figures in self.groups().items():
            if group:
                yield from (f"**{group}**", "")
            heads, rows = table(figures)
            yield f"| | {' | '.join(heads)} |"
            yield f"| --- |{' ---: |' * len(heads)}"
            yield from (f"| {' | '.join(row)} |" for row in rows)
            yield ""
        yield from self.notes


def table(figures: Sequence[Figure]) -> tuple[list[str], list[list[str]]]:
    """The heads of the columns, and the rows with their names; what was not measured is empty."""
    columns = dict.fromkeys((figure.column, figure.unit, figure.tail) for figure in figures)
    cells = {(figure.row, figure.column): str(figure) for figure in figures}
    heads = [f"{column}, {unit}{': median / 95th / 99th' if tail else ''}" for column, unit, tail in columns]
    rows = dict.fromkeys(figure.row for figure in figures)
    return heads, [[row, *(cells.get((row, column), "") for column, *_ in columns)] for row in rows]


def number(value: float) -> str:
    """Three digits, or as many as there are before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratios(ours: Figure, theirs: Figure, column: str) -> Figure:
    """Ours against theirs, round by round."""
    found = [a / b for a, b in zip(ours.samples, theirs.samples, strict=True)]
    return Figure(ours.row, column, "x", found, ours.group)


def machine() -> dict[str, Any]:
    """What the figures were taken on; `load` is how many others wanted the processor in the minute before."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "memory_gib": memory,
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def record(part: Part, scale: Scale, command: str) -> Iterator[str]:
    """JSON lines: one a figure, one a note."""
    told = {
        "part": part.name,
        "title": part.title,
        "scale": scale.name,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine(),
        "command": command,
    }
    for figure in part.figures:
        summary = {"median": figure.median, "range": figure.range, "percentiles": figure.percentiles}
        yield json.dumps(told | {"figure": asdict(figure), **summary})
    for note in part.notes:
        yield json.dumps(told | {"note": note})


def load(lines: Iterable[str]) -> tuple[dict[str, Part], list[dict[str, Any]]]:
    """The parts of recorded results by name, and of each line what it says about date, machine and command."""
    parts: dict[str, Part] = {}
    told = []
    for line in lines:
        read = json.loads(line)
        part = parts.setdefault(read["part"], Part(read["part"], read["title"]))
        part.add(Figure(**read["figure"]) if "figure" in read else read["note"])
        told.append({key: read[key] for key in ("part", "scale", "date", "machine", "command")})
    return parts, told
