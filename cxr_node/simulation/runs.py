"""Many runs of a site, each read in both orders: the same studies and reading times, so that only the order differs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_node.domain.priority import Policy
from cxr_node.domain.reading_room import read_all
from cxr_node.simulation.site import MINUTE, Drawn, Site, draw

Floats = NDArray[np.float64]

ORDERS = ("arrival", "node")
"""First in, first out behind STAT, as under the kill switch; and the node's order."""
GROUPS = ("critical", "other", "all")
MEASURES = ("mean", "median", "p95", "max")
EDGES: Floats = np.geomspace(0.1, 1e5, 601)
"""In minutes: where the turnaround times are counted for the plot."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Run:
    """One run. By order and group: the `MEASURES` of the turnaround in minutes (NaN where nothing came), and how many
    studies were reported within each of `EDGES`. By group: how many studies there are. `overdue`: by order, how many
    waited longer than the site's maximum until their reading began.
    """

    figures: Mapping[Key, Floats]
    counts: Mapping[str, int]
    reported: Mapping[Key, NDArray[np.int64]]
    overdue: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All runs of a site."""

    site: Site
    seed: int
    runs: tuple[Run, ...]

    def figures(self, order: str, group: str) -> Floats:
        """(runs, measures), in minutes."""
        return np.stack([run.figures[order, group] for run in self.runs])

    def reported(self, order: str, group: str) -> Floats:
        """The share (0..1) of a group's studies that were reported within each of `EDGES`; NaN where none came."""
        total = sum(run.counts[group] for run in self.runs)
        within = np.sum([run.reported[order, group] for run in self.runs], axis=0)
        return within / total if total else np.full(len(EDGES), np.nan)

    def overdue(self, order: str) -> float:
        """The share (0..1) of the studies that became overdue; 0 where none came."""
        return sum(run.overdue[order] for run in self.runs) / max(1, sum(run.counts["all"] for run in self.runs))

    def summary(self) -> dict[str, Any]:
        """Each measure by order and group, and the change that the node's order makes: see `spread`."""
        orders = {order: {group: _measures(self.figures(order, group)) for group in GROUPS} for order in ORDERS}
        change = {group: _measures(self.figures("node", group) - self.figures("arrival", group)) for group in GROUPS}
        studies = {group: spread(np.array([run.counts[group] for run in self.runs], float)) for group in GROUPS}
        overdue = {order: self.overdue(order) for order in ORDERS}
        return {"studies": studies, "overdue": overdue, "turnaround_minutes": {**orders, "change": change}}


def simulate(site: Site, runs: int, seed: int) -> Iterator[Run]:
    """Runs of a site; the same seed gives the same runs, and more runs begin with the same."""
    for child in np.random.SeedSequence(seed).spawn(runs):
        yield run_once(site, draw(site, np.random.default_rng(child)))


def outcome(site: Site, seed: int, runs: Iterable[Run]) -> Outcome:
    """What the runs came to."""
    return Outcome(site, seed, tuple(runs))


def run_once(site: Site, drawn: Drawn) -> Run:
    """What came, read in both orders."""
    groups = {"critical": drawn.critical, "other": ~drawn.critical, "all": np.full(len(drawn.critical), True)}
    lengths = np.array([seconds for _, seconds in drawn.studies], dtype=np.float64)
    figures, reported, late = {}, {}, {}
    for order in ORDERS:
        policy = Policy(site.max_wait_minutes * MINUTE, frozen=order == "arrival")
        ends = np.array(read_all(drawn.studies, policy, site.readers, site.reading_hours), dtype=np.float64)
        late[order] = int(np.sum(ends - lengths - drawn.received > site.max_wait_minutes * MINUTE))
        minutes = (ends - drawn.received) / MINUTE
        for group, members in groups.items():
            figures[order, group] = _figures(minutes[members])
            reported[order, group] = np.searchsorted(np.sort(minutes[members]), EDGES, side="right")
    return Run(figures, {group: int(members.sum()) for group, members in groups.items()}, reported, late)


def _figures(minutes: Floats) -> Floats:
    if not len(minutes):
        return np.full(len(MEASURES), np.nan)
    return np.array([minutes.mean(), np.median(minutes), np.percentile(minutes, 95), minutes.max()])


def _measures(figures: Floats) -> dict[str, dict[str, float] | None]:
    return {name: spread(figures[:, column]) for column, name in enumerate(MEASURES)}


def spread(values: Floats) -> dict[str, float] | None:
    """The mean over the runs, and between what 95 of 100 of them lie; None where no run has a value."""
    there = values[~np.isnan(values)]
    if not len(there):
        return None
    low, high = np.percentile(there, [2.5, 97.5])
    return {"value": float(there.mean()), "low": float(low), "high": float(high)}
