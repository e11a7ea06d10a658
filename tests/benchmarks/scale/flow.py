"""How a film passes: stations with queues, played by simpy. Every station serves first come, first served.

A station's time is always the same, as the benchmarks' medians have it: what varies is when films come.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from tests.benchmarks.scale.costs import Costs
from tests.benchmarks.scale.region import HOUR, Region, Study

Steps = Generator[simpy.Event, Any, None]


class Station:
    """So many places, and how long they were taken between two moments."""

    def __init__(self, world: simpy.Environment, places: int, since: float, until: float) -> None:
        self.world, self.places, self.since, self.until = world, places, since, until
        self._room = simpy.Resource(world, places)
        self._taken = 0.0

    def serve(self, seconds: float, beside: "Station | None" = None) -> Steps:
        """Wait for a place here, then for one at `beside`, and keep both for so long."""
        with self._room.request() as place:
            yield place
            yield from self._served(seconds, beside)

    def serve_soon(self, seconds: float, patience: float) -> Generator[simpy.Event, Any, bool]:
        """The same, unless no place is free within `patience` seconds; returns whether one was."""
        with self._room.request() as place:
            yield place | self.world.timeout(patience)
            if place.triggered:
                yield from self._served(seconds, None)
            return place.triggered

    def lose(self, places: int, at: float, until: float) -> Steps:
        """From a moment to another so many places are not there; who waits then is served first."""
        yield self.world.timeout(at)
        requests = [self._room.request() for _ in range(places)]
        yield self.world.timeout(until - at)
        for request in requests:
            self._room.release(request)

    @property
    def busy(self) -> float:
        """The share of the time in which its places were taken, 0..1."""
        return self._taken / (self.places * (self.until - self.since))

    def _served(self, seconds: float, beside: "Station | None") -> Steps:
        began = self.world.now
        if beside is None:
            yield self.world.timeout(seconds)
        else:
            yield from beside.serve(seconds)
        self._taken += max(0.0, min(self.world.now, self.until) - max(began, self.since))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where films go: to a node in each hospital (`machines` 0), or to so many machines in a centre.

    `pool`: so many replicas of the network in the centre, of which `lost` are gone for the second half of the hour, and
    which a node waits `silent` seconds for before it judges a film itself; 0: each node judges all films itself.
    """

    machines: int = 0
    pool: int = 0
    lost: int = 0
    silent: float = 1.0


@dataclass(slots=True)
class Waits:
    """Seconds, of what was made in the hour looked at: film by film until it was acknowledged, and from there to its
    place in the worklist; study by study from the end of its settling to the heat map stored. `fresh`: which of the
    films were made in that hour; the others had been kept.
    """

    acknowledged: list[float] = field(default_factory=list)
    ranked: list[float] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    stored: list[float] = field(default_factory=list)
    caught_up: float = 0.0
    """When the last film that had been kept had its place."""
    busy: dict[str, float] = field(default_factory=dict)
    """By station, of the busiest of its kind: the share of the hour, 0..1."""
    open: list[tuple[float, int]] = field(default_factory=list)
    """Every ten seconds: how many films were made, or kept, and have no place yet."""


class _Machine:
    """The processes of a node, each one interpreter, on its cores."""

    def __init__(self, station: Callable[[int], Station], cores: int) -> None:
        self.listener, self.infer, self.draw, self.work = (station(1) for _ in range(4))
        self.cores = station(cores)


class Play:
    """One hour of a region, after ten minutes that are not counted."""

    WARM_UP = 600.0

    def __init__(self, region: Region, costs: Costs, layout: Layout, seed: int, seconds: float = HOUR) -> None:
        self.region, self.costs, self.layout = region, costs, layout
        self.world = simpy.Environment()
        self.until = self.WARM_UP + seconds
        self.random = np.random.default_rng(seed)
        self.waits = Waits()
        self._open = 0
        sites = region.hospitals
        self.machines = [_Machine(self._station, costs.cores) for _ in range(layout.machines or sites)]
        self.lines = [self._station(1) for _ in range(sites)]
        self.centre = self._station(1)
        self.pool = self._station(layout.pool) if layout.pool else None

    def _station(self, places: int) -> Station:
        return Station(self.world, places, self.WARM_UP, self.until)

    def run(self, studies: list[Study]) -> Waits:
        """Play until everything is done."""
        for study in studies:
            self.world.process(self._study(study))
        if self.pool and self.layout.lost:
            middle = (self.WARM_UP + self.until) / 2
            self.world.process(self.pool.lose(self.layout.lost, middle, self.until))
        self.world.process(self._look())
        self.world.run()
        self.waits.busy = self._busy()
        return self.waits

    def _busy(self) -> dict[str, float]:
        found = {
            name: max(getattr(machine, name).busy for machine in self.machines)
            for name in ("listener", "infer", "draw", "work", "cores")
        }
        found["line of a hospital"] = max(line.busy for line in self.lines)
        if self.layout.machines:
            found["line of the centre"] = self.centre.busy
        if self.pool:
            found["pool"] = self.pool.busy
        return found

    def _study(self, study: Study) -> Steps:
        yield self.world.timeout(study.made)
        number = int(self.random.integers(len(self.machines))) if self.layout.machines else study.site
        machine = self.machines[number]
        yield simpy.AllOf(self.world, [self.world.process(self._film(study, machine)) for _ in range(study.films)])
        settled = self.world.now  # the time to settle passes here, and is the same for all
        yield from machine.work.serve(self.costs.sr, machine.cores)
        yield from machine.work.serve(self.costs.heatmap, machine.cores)
        if self._counts(study):
            self.waits.stored.append(self.world.now - settled)

    def _film(self, study: Study, machine: _Machine) -> Steps:
        region, costs = self.region, self.costs
        self._open += 1
        if self.layout.machines:
            yield from self.lines[study.site].serve(region.transfer(region.site_megabits))
            yield from self.centre.serve(region.transfer(region.centre_megabits))
        else:
            yield from self.lines[study.site].serve(region.transfer(region.lan_megabits))
        yield from machine.listener.serve(costs.receive, machine.cores)
        acknowledged = self.world.now
        yield from self._judged(machine, study.site)
        ranked = self.world.now
        self.world.process(machine.draw.serve(costs.beside, machine.cores))
        self._open -= 1
        if self._counts(study):
            self.waits.acknowledged.append(acknowledged - study.made)
            self.waits.ranked.append(ranked - acknowledged)
            self.waits.fresh.append(not study.kept)
        if study.kept:
            self.waits.caught_up = max(self.waits.caught_up, ranked - study.made)

    def _judged(self, machine: _Machine, site: int) -> Steps:
        """By the machine's own inference process, or prepared there and judged by the pool."""
        region, costs = self.region, self.costs
        if self.pool is None:
            yield from machine.infer.serve(costs.analyse + costs.network, machine.cores)
            return
        yield from machine.infer.serve(costs.analyse, machine.cores)
        if not self.layout.machines:
            yield from self.lines[site].serve(region.transfer(region.site_megabits, region.prepared_megabytes))
            yield self.world.timeout(region.round_trip)
        if not (yield from self.pool.serve_soon(costs.network, self.layout.silent)):
            yield from machine.infer.serve(costs.network, machine.cores)

    def _counts(self, study: Study) -> bool:
        return self.WARM_UP <= study.made < self.until

    def _look(self) -> Steps:
        while self.world.now < self.until:
            self.waits.open.append((self.world.now - self.WARM_UP, self._open))
            yield self.world.timeout(10.0)
