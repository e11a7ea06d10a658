"""What the node is to reach, and how far it is: each goal with the figure that was measured, and its spread."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.benchmarks import crowd, explaining, history, latency, receive, startup, throughput
from tests.benchmarks.figures import FULL, Figure, Part, number

_FILM = f"films of {next(iter(FULL.sizes))}, uncompressed"
_FROM_RESPONSE = "last response to "
_MOST = max(FULL.history)


@dataclass(frozen=True, slots=True)
class Goal:
    """`limit` is to be reached, `better` is hoped for, both None for what is only told.

    `of`: 0 for the median, 1 for the 95th percentile. The figure is that of a part, by row, column and group.
    """

    title: str
    part: str
    row: str
    column: str
    group: str = ""
    unit: str = "x"
    kind: Literal["at least", "at most"] = "at least"
    limit: float | None = None
    better: float | None = None
    of: int = 0

    def find(self, parts: Mapping[str, Part]) -> Figure | None:
        figures = parts[self.part].figures if self.part in parts else []
        known = {(each.row, each.column, each.group): each for each in figures}
        return known.get((self.row, self.column, self.group))

    def reached(self, value: float) -> str:
        if self.limit is None:
            return "told"
        if not self._holds(value, self.limit):
            return "missed"
        return "met" if self.better is None or self._holds(value, self.better) else "met, but not the better one"

    @property
    def wanted(self) -> str:
        if self.limit is None:
            return ""
        better = "" if self.better is None else f", better {number(self.better)}"
        return f"{self.kind} {number(self.limit)}{better} {self.unit}"

    def _holds(self, value: float, limit: float) -> bool:
        return value >= limit if self.kind == "at least" else value <= limit


def _ratio(associations: int, other: str, limit: float | None, better: float | None, row: str = receive.OURS) -> Goal:
    """Receiving against another receiver."""
    among = "1 association" if associations == 1 else f"{associations} associations"
    while_ = " while analysing" if row == receive.ANALYSING else ""
    column = f"{receive.column(associations)}, against {other}"
    return Goal(f"receive{while_}, {among}, against {other}", "receive", row, column, _FILM, limit=limit, better=better)


def _latency(title: str, row: str, limit: float, of: int = 0) -> Goal:
    return Goal(
        _FROM_RESPONSE + title, "latency", row, latency.ALONE, latency.GROUP, "ms", "at most", limit=limit, of=of
    )


GOALS = (
    _ratio(1, "storescp", 0.7, 1.0),
    _ratio(1, "Orthanc", 2.0, 3.0),
    _ratio(4, "storescp", 0.9, 1.0),
    _ratio(1, "storescp", None, None, receive.ANALYSING),
    _ratio(4, "storescp", None, None, receive.ANALYSING),
    Goal(
        "end to end, sender and archive here", "throughput", throughput.ROW, throughput.HERE, "", "studies/s", limit=6.0
    ),
    Goal(
        "end to end, their share taken out", "throughput", throughput.ROW, throughput.ELSEWHERE, "", "studies/s",
        limit=10.0,
    ),
    _latency("the place in the worklist", latency.PLACE, 100.0),
    _latency("SR and heat map stored", latency.HEATMAP, 250.0),
    _latency("SR and heat map stored, 95th", latency.HEATMAP, 500.0, of=1),
    Goal("an occlusion map", "explaining", explaining.OCCLUSION, explaining.COLUMN, "", "s", "at most", 3.0),
    Goal(
        f"memory of the whole node, {max(FULL.crowd)} associations", "crowd", crowd.row(max(FULL.crowd), FULL),
        crowd.WHOLE, "", "MB", "at most", 1500.0,
    ),
    Goal(
        f"a film at {_MOST:,} stored studies, against none", "history", history.WHOLE, history.against(_MOST, 0),
        history.DOES, kind="at most", limit=1.1,
    ),
    Goal("takes films after its start", "startup", startup.ROW, startup.READY, "", "s", "at most", 2.0),
)  # fmt: skip


def verdicts(parts: Mapping[str, Part]) -> Iterator[tuple[str, str, str, str, str]]:
    """Of each goal: what it is, what is wanted, the figure, its spread, and whether it is met."""
    for goal in GOALS:
        found = goal.find(parts)
        if found is None:
            yield goal.title, goal.wanted, "", "", "not measured"
            continue
        value = found.percentiles[goal.of] if goal.of else found.median
        least, most = found.range
        spread = f"{number(least)}..{number(most)}, {len(found.samples)} times"
        yield goal.title, goal.wanted, f"{number(value)} {found.unit}", spread, goal.reached(value)


def complete(parts: Mapping[str, Part]) -> bool:
    """Whether every goal was measured."""
    return all(goal.find(parts) for goal in GOALS)


def caution(told: Iterable[Mapping[str, Any]]) -> str:
    """What to mind about the verdicts on figures of which `told` says how they were taken; empty for nothing."""
    if any(each["scale"] != FULL.name for each in told):
        return "Of a quick run, with small films and few of them: nothing is met or missed by it."
    return ""


def markdown(parts: Mapping[str, Part]) -> Iterator[str]:
    """The same as rows of a Markdown table."""
    yield "| goal | wanted | measured | spread | |"
    yield "| --- | --- | ---: | --- | --- |"
    for row in verdicts(parts):
        yield f"| {' | '.join(row)} |"
