"""A region in numbers, and the studies that come to it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.scale.costs import Figure

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Region:
    """Hospitals, all alike. Lines in megabits/s, films in megabytes, `round_trip` in seconds.

    `peak_share` of a day's studies comes in one hour.
    """

    hospitals: int
    studies_per_day: float
    films_per_study: float
    film_megabytes: float
    peak_share: float
    site_megabits: float
    centre_megabits: float
    lan_megabits: float
    prepared_megabytes: float
    round_trip: float
    changes_per_study: int

    @property
    def studies_per_second(self) -> float:
        """Of the whole region in its peak hour."""
        return self.hospitals * self.studies_per_day * self.peak_share / HOUR

    def transfer(self, megabits: float, megabytes: float | None = None) -> float:
        """Seconds for a film, or for so much, over a line."""
        return 8 * (self.film_megabytes if megabytes is None else megabytes) / megabits


def region(hospitals: int, figures: Mapping[str, Figure]) -> Region:
    """A region of so many hospitals as the figures have it."""
    named = (
        "studies_per_day", "films_per_study", "film_megabytes", "peak_share", "site_megabits", "centre_megabits",
        "lan_megabits", "prepared_megabytes",
    )  # fmt: skip
    return Region(
        hospitals,
        **{name: figures[name].value for name in named},
        round_trip=figures["round_trip_ms"].value / 1000,
        changes_per_study=int(figures["changes_per_study"].value),
    )


@dataclass(frozen=True, slots=True)
class Study:
    """Of which hospital, made when (seconds), of how many films. `kept`: it waited for the line to come back."""

    site: int
    made: float
    films: int
    kept: bool = False


def fresh(region: Region, seconds: float, random: np.random.Generator) -> list[Study]:
    """What the region makes in so long, at the pace of its peak hour (Poisson), in the order of time."""
    count = int(random.poisson(region.studies_per_second * seconds))
    made = np.sort(random.uniform(0, seconds, count))
    sites = random.integers(region.hospitals, size=count)
    films = _films(region, count, random)
    return [Study(*each) for each in zip(sites.tolist(), made.tolist(), films.tolist(), strict=True)]


def kept(region: Region, sites: int, at: float, random: np.random.Generator) -> list[Study]:
    """What the first `sites` hospitals have kept over a day without a line, that comes back `at`."""
    found = []
    for site in range(sites):
        count = int(random.poisson(region.studies_per_day))
        found += [Study(site, at, films, kept=True) for films in _films(region, count, random).tolist()]
    return found


def _films(region: Region, count: int, random: np.random.Generator) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Whole numbers around the mean: 1.5 is one or two, as often."""
    low = int(region.films_per_study)
    return low + (random.random(count) < region.films_per_study - low).astype(np.int64)
