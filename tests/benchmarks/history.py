"""What a film costs where many studies have been before it: the same steps in an empty database and in a full one.

The steps are what the node does with its database for a film, and what people and machines ask it. The databases are
used in turn, so that a busy moment of the machine falls on all. What was before is one study that went the whole way,
copied row by row with UIDs, digests and times of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.benchmarks.figures import Figure, Scale, number, ratios
from tests.benchmarks.site import QUESTIONS, STEPS, Site

WHOLE = "all of these: a film"
DOES, ASKED = "what the node does", "what is asked of it"


def measure(folder: Path, scale: Scale) -> Iterator[Figure | str]:
    """Milliseconds of each step by the number of studies, and the ratio to the empty database, film by film."""
    sites = {count: Site(folder / str(count), count) for count in scale.history}
    for turn in range(scale.repeats + 3):
        order = list(sites.values())
        for site in order if turn % 2 else reversed(order):
            site.pass_one(counted=turn > 2)  # the first ones fill SQLite's cache
    for group, names in ((DOES, STEPS), (ASKED, QUESTIONS)):
        for name in names:
            yield from _compared(name, {count: site.taken[name] for count, site in sites.items()}, group)
    whole = {count: site.whole() for count, site in sites.items()}
    yield from _compared(WHOLE, whole, DOES)
    largest = max(sites)
    yield f"The database of {largest:,} studies has {number(sites[largest].megabytes)} MB."


def column(count: int) -> str:
    return f"{count:,} studies"


def against(count: int, empty: int) -> str:
    return f"{column(count)}, against {empty:,}"


def _compared(name: str, taken: Mapping[int, Sequence[float]], group: str) -> Iterator[Figure]:
    figures = {count: Figure(name, column(count), "ms", samples, group) for count, samples in taken.items()}
    yield from figures.values()
    empty = min(figures)
    for count, figure in figures.items():
        if count != empty:
            yield ratios(figure, figures[empty], against(count, empty))
