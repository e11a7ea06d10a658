"""What follows from the figures without playing anything: shares of stations, people, disk, lines, money."""

from dataclasses import dataclass, replace

from tests.benchmarks.scale.costs import Costs
from tests.benchmarks.scale.region import HOUR, Region
from tests.benchmarks.scale.scenarios import Scales


def shares(place: Region, costs: Costs) -> dict[str, float]:
    """How much of each station of one machine the peak hour of a region takes; above 1 it takes several."""
    films = place.studies_per_second * place.films_per_study
    return {
        "listener": films * costs.receive,
        "infer": films * (costs.analyse + costs.network),
        "draw": films * costs.beside,
        "work": place.studies_per_second * costs.documents,
        "cores": place.studies_per_second * costs.of_study(place.films_per_study) / costs.cores,
        "line of the centre": films * place.transfer(place.centre_megabits),
    }


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody might do, and how many hospitals a machine of a centre and its line then carry in the peak hour."""

    what: str
    machine: float
    first: str
    line: float


def changes(scales: Scales) -> list[Change]:
    """What moves the first bottleneck, one thing at a time."""
    one, costs = scales.region(1), scales.costs
    half_film = replace(one, film_megabytes=one.film_megabytes / 2)
    return [
        _change("as measured", one, costs, scales),
        _change("a film on the line half as large (compressed without loss)", half_film, costs, scales),
        _change("the network for nothing, as with a pool", one, replace(costs, network=0.0), scales),
        _change("the rest of the analysis in half the time", one, replace(costs, analyse=costs.analyse / 2), scales),
        _change("documents in half the time", one, replace(costs, sr=costs.sr / 2, heatmap=costs.heatmap / 2), scales),
        _change("twice the cores", one, replace(costs, cores=2 * costs.cores), scales),
        _change("a network four times as slow", one, replace(costs, network=4 * costs.network), scales),
    ]


def _change(what: str, one: Region, costs: Costs, scales: Scales) -> Change:
    taken = shares(one, costs)
    line = taken.pop("line of the centre")
    first, share = max(taken.items(), key=lambda each: each[1])
    return Change(what, scales.value("busy_at_most") / share, first, scales.value("busy_at_most") / line)


@dataclass(frozen=True, slots=True)
class Watching:
    """People at a hub in the peak hour: how many read, changes of workitems a second, looks at the page a second by
    all who read, and the cores that these take."""

    readers: float
    changes: float
    looks: float
    cores: float


def watching(scales: Scales, hospitals: int, pause: float) -> Watching:
    """Everyone who reads has the hub's page open, which looks again after a change, at most once in `pause` seconds."""
    place = scales.region(hospitals)
    readers = place.studies_per_second * scales.value("reading_minutes") * 60
    happen = place.studies_per_second * place.changes_per_study
    looks = readers * min(happen, 1 / pause)
    return Watching(readers, happen, looks, looks * scales.costs.page)


@dataclass(frozen=True, slots=True)
class Bill:
    """For a million studies: terabytes of films, gigabytes of database, hours of machines, and what they cost (US$)."""

    films: float
    database: float
    hours: float
    machines: float
    disk: float


def bill(scales: Scales, hospitals: int, machines: int) -> Bill:
    """Where so many machines run all the time for the region."""
    studies = 1e6
    films = studies * scales.value("films_per_study") * scales.value("film_megabytes") / 1e6
    hours = machines * 24 * studies / (hospitals * scales.value("studies_per_day"))
    return Bill(
        films,
        studies * scales.value("database_kilobytes") / 1e6,
        hours,
        hours * scales.value("machine_price_per_hour"),
        films * scales.value("disk_price_per_terabyte_month") * scales.value("kept_months"),
    )


@dataclass(frozen=True, slots=True)
class Backfill:
    """Films of years: days to read them over the centre's line, and core-days to receive no more, only judge."""

    films: float
    line_days: float
    core_days: float


def backfill(scales: Scales, films: float) -> Backfill:
    place, costs = scales.region(1), scales.costs
    days = 24 * HOUR
    line = films * place.transfer(place.centre_megabits)
    return Backfill(films, line / days, films * (costs.analyse + costs.network) / days)
