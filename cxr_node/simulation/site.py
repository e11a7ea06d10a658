"""A site in numbers, and the studies that come to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cxr_node.domain.finding import Tier
from cxr_node.domain.priority import Place, Priority
from cxr_node.domain.reading_room import ALL_DAY, DAY, Hours

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Site:
    """What a simulation goes by. Shares are in 0..1.

    Studies come at random (Poisson), as often at any moment of `arrival_hours`. `prevalence` is the share of critical
    ones, `stat` that of those which a person or the RIS sets to STAT, critical or not. The model promotes `sensitivity`
    of the critical studies and 1 - `specificity` of the others. A reading takes `reading_minutes` on average, gamma
    distributed, with a standard deviation of `reading_spread` times that: 0 is always the same, 1 is exponential.
    """

    studies_per_day: float
    readers: int
    reading_minutes: float
    prevalence: float
    sensitivity: float
    specificity: float
    max_wait_minutes: float
    arrival_hours: Hours = ALL_DAY
    reading_hours: Hours = ALL_DAY
    reading_spread: float = 1.0
    stat: float = 0.0
    days: int = 30

    @property
    def load(self) -> float:
        """The work that comes in a day by what the readers can do in it; from 1 on they never catch up."""
        return self.studies_per_day * self.reading_minutes * MINUTE / (self.readers * self.reading_hours.length)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Studies in the order of arrival: each with the seconds that its reading takes, and which are critical (n,)."""

    studies: Sequence[tuple[Place, float]]
    critical: NDArray[np.bool_]

    @property
    def received(self) -> NDArray[np.float64]:
        """When each came, in seconds since the midnight of day 0 (n,)."""
        return np.array([place.received_at for place, _ in self.studies], dtype=np.float64)


def draw(site: Site, random: np.random.Generator) -> Drawn:
    """What comes to a site in its days."""
    count = int(random.poisson(site.studies_per_day * site.days))
    days = random.integers(site.days, size=count) * DAY
    received = np.sort(days + random.uniform(site.arrival_hours.start, site.arrival_hours.end, count))
    critical = random.random(count) < site.prevalence
    promoted = random.random(count) < np.where(critical, site.sensitivity, 1 - site.specificity)
    stat = random.random(count) < site.stat
    places = [
        Place(f"{number:08}", at, Tier.MEDIUM if moved else Tier.NONE, Priority.STAT if urgent else None)
        for number, (at, moved, urgent) in enumerate(
            zip(received.tolist(), promoted.tolist(), stat.tolist(), strict=True)
        )
    ]
    seconds = cast("list[float]", _reading_seconds(site, random, count).tolist())
    return Drawn(list(zip(places, seconds, strict=True)), critical)


def _reading_seconds(site: Site, random: np.random.Generator, count: int) -> NDArray[np.float64]:
    mean = site.reading_minutes * MINUTE
    if site.reading_spread == 0:
        return np.full(count, mean)
    shape = site.reading_spread**-2
    return random.gamma(shape, mean / shape, count)
