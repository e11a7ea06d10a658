"""What is played: a peak hour, with what is gone in it, and how many machines it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.scale.costs import Costs, Figure, costs
from tests.benchmarks.scale.flow import Layout, Play, Waits
from tests.benchmarks.scale.hub import Hub
from tests.benchmarks.scale.region import HOUR, Region, fresh, kept, region

STUDIES_AT_LEAST = 3000
"""A peak hour of few hospitals goes on until so many studies have come: of sixteen there is no hundredth part."""


@dataclass(frozen=True, slots=True)
class Scales:
    """Regions of one kind. `seed`: the same, the same studies."""

    figures: Mapping[str, Figure]
    seed: int

    @property
    def costs(self) -> Costs:
        return costs(self.figures)

    def region(self, hospitals: int) -> Region:
        return region(hospitals, self.figures)

    def value(self, name: str) -> float:
        return self.figures[name].value

    def peak(self, hospitals: int, layout: Layout) -> Waits:
        """A peak hour, or as many of them in a row as it takes for enough studies."""
        place = self.region(hospitals)
        seconds = max(HOUR, STUDIES_AT_LEAST / place.studies_per_second)
        return self._play(place, layout, seconds, dark=0)

    def after_a_day(self, hospitals: int, layout: Layout, dark: int) -> Waits:
        """A peak hour that begins when so many hospitals come back after a day without a line."""
        return self._play(self.region(hospitals), layout, HOUR, dark)

    def hub(self, hospitals: int, dark: int = 0) -> Hub:
        """The hub in a peak hour."""
        found = Hub(self.region(hospitals), self.costs, self.seed, dark)
        found.run()
        return found

    def carried(self, waits: Waits) -> bool:
        """Whether an hour like this is borne: fast enough, and nothing too busy."""
        soon = percentile(waits.ranked, 99) <= self.value("ranked_within_seconds")
        return soon and max(waits.busy.values()) <= self.value("busy_at_most")

    def machines(self, hospitals: int, most: int = 64) -> int | None:
        """How many a centre needs so that its peak hour is borne with one of them lost; None: no number helps."""
        for left in range(1, most):
            waits = self.peak(hospitals, Layout(machines=left))
            if self.carried(waits):
                return left + 1
            if max(waits.busy["line of the centre"], waits.busy["line of a hospital"]) > self.value("busy_at_most"):
                return None
        return None

    def replicas(self, hospitals: int) -> int:
        """How many of the network a pool needs so that its places are not too busy with one of them lost."""
        place = self.region(hospitals)
        offered = place.studies_per_second * place.films_per_study * self.costs.network
        return int(np.ceil(offered / self.value("busy_at_most"))) + 1

    def layout(self, *, machines: int = 0, pool: int = 0, lost: int = 0) -> Layout:
        return Layout(machines, pool, lost, self.value("pool_silent_ms") / 1000)

    def _play(self, place: Region, layout: Layout, seconds: float, dark: int) -> Waits:
        random = np.random.default_rng(self.seed)
        play = Play(place, self.costs, layout, self.seed, seconds)
        studies = fresh(place, play.until, random)
        return play.run(studies + kept(place, dark, play.WARM_UP, random))


def percentile(values: Sequence[float], share: float) -> float:
    """In seconds; 0 where there is none."""
    return float(np.percentile(values, share)) if len(values) else 0.0


def busiest(busy: Mapping[str, float]) -> tuple[str, float]:
    """The station that is the first to be full, and the share of the time in which it is taken."""
    return max(busy.items(), key=lambda each: each[1])
