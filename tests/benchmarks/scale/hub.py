"""A hub that gathers the worklists of a region: each hospital tells it the changes of its workitems, in their order."""

import numpy as np
import simpy

from tests.benchmarks.scale.costs import Costs
from tests.benchmarks.scale.flow import Station, Steps
from tests.benchmarks.scale.region import HOUR, Region

DAY = 24 * HOUR


class Hub:
    """One hour of it, in which the first `dark` hospitals come back after a day without a line."""

    def __init__(self, region: Region, costs: Costs, seed: int, dark: int = 0) -> None:
        self.region, self.costs = region, costs
        self.world = simpy.Environment()
        self.desk = Station(self.world, 1, 0.0, HOUR)
        self.waits: list[float] = []
        """Seconds from each change of the hour, in a hospital that was there all the time, until the hub has it."""
        self.caught_up = 0.0
        """When the hub knew everything of the last day (seconds)."""
        random = np.random.default_rng(seed)
        each = region.studies_per_second * region.changes_per_study / region.hospitals
        for site in range(region.hospitals):
            made = np.sort(random.uniform(0, HOUR, int(random.poisson(each * HOUR))))
            old = int(random.poisson(region.studies_per_day)) * region.changes_per_study if site < dark else 0
            self.world.process(self._outbox([0.0] * old, keep=False))
            self.world.process(self._outbox(made.tolist(), keep=site >= dark))

    def run(self) -> None:
        """Play until the hub has everything."""
        self.world.run()

    def _outbox(self, made: list[float], *, keep: bool) -> Steps:
        """One change after the other: the next leaves when the one before was answered."""
        for when in made:
            yield self.world.timeout(max(0.0, when - self.world.now))
            yield self.world.timeout(self.region.round_trip)
            yield from self.desk.serve(self.costs.change)
            if keep:
                self.waits.append(self.world.now - when)
            elif when == 0.0:
                self.caught_up = self.world.now
