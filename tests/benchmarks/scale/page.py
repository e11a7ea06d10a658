"""The tables of docs/scale.md."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.benchmarks.scale.arithmetic import backfill, bill, changes, watching
from tests.benchmarks.scale.flow import Waits
from tests.benchmarks.scale.scenarios import Scales, busiest, percentile

Lines = Iterator[str]
Needed = Mapping[int, int | None]
"""By the number of hospitals: the machines of a centre, one of which may be lost; None where no number helps."""


def figures(scales: Scales) -> Lines:
    """What it goes by."""
    yield from _head("figure", "value", "", "from there, or on this ground")
    for name, figure in scales.figures.items():
        kind = "assumed" if figure.assumed else ""
        yield _row(f"`{name}`", f"{figure.value:g}", kind, figure.source)
    costs = scales.costs
    films = scales.value("films_per_study")
    yield ""
    yield (
        f"A study of one film so takes {costs.of_study(1):.2f} s of a core. {costs.beside:.2f} s of that nobody waits "
        f"for: what {costs.cores} cores had left at {scales.value('studies_per_second'):g} studies a second, for "
        "drawing films for people, for what processes tell each other, and for sender and archive there."
    )
    yield f"A study of {films:g} films takes {costs.of_study(films):.2f} s."


def at_each(scales: Scales, sizes: Sequence[int]) -> Lines:
    """A node in each hospital."""
    yield from _head("hospitals", "studies/s", *_WAITS, "first to be full")
    for hospitals in sizes:
        waits = scales.peak(hospitals, scales.layout())
        yield _row(f"{hospitals:,}", f"{scales.region(hospitals).studies_per_second:.3f}", *_waits(waits), _full(waits))


def in_a_centre(scales: Scales, machines: Needed) -> Lines:
    """All films to machines in a centre; what happens where one is lost in the peak hour."""
    yield from _head("hospitals", "machines", "of them there", *_WAITS, "first to be full")
    for hospitals, needed in machines.items():
        for there in (needed, needed - 1) if needed else (1, 2, 3):
            waits = scales.peak(hospitals, scales.layout(machines=there))
            yield _row(f"{hospitals:,}", str(needed or "no number"), str(there), *_waits(waits), _full(waits))


def with_a_pool(scales: Scales, sizes: Sequence[int]) -> Lines:
    """The network in a pool that all nodes share: whole, with one replica lost for half an hour, and with all."""
    yield from _head("hospitals", "replicas", "lost for half an hour", "ranked: 50 %", "99 %", "longest", "pool taken")
    for hospitals in sizes:
        needed = scales.replicas(hospitals)
        for lost in sorted({0, 1, needed}):
            waits = scales.peak(hospitals, scales.layout(pool=needed, lost=lost))
            ranked = (percentile(waits.ranked, share) for share in (50, 99, 100))
            yield _row(f"{hospitals:,}", str(needed), str(lost), *map(_seconds, ranked), _share(waits.busy["pool"]))


def offline(scales: Scales, machines: Needed) -> Lines:
    """Hospitals that had no line for a day, at the beginning of the peak hour."""
    yield from _head(
        "hospitals", "had no line", "centre: caught up after", "others ranked: 99 %", "others acknowledged: 99 %",
        "hub: caught up after", "others told: 99 %",
    )  # fmt: skip
    for hospitals, needed in machines.items():
        for dark in sorted({1, max(1, hospitals // 10)}):
            waits = scales.after_a_day(hospitals, scales.layout(machines=needed or 3), dark)
            hub = scales.hub(hospitals, dark)
            others = [wait for wait, is_fresh in zip(waits.ranked, waits.fresh, strict=True) if is_fresh]
            answered = [wait for wait, is_fresh in zip(waits.acknowledged, waits.fresh, strict=True) if is_fresh]
            yield _row(
                f"{hospitals:,}", str(dark), f"{waits.caught_up / 60:.1f} min", _seconds(percentile(others, 99)),
                _seconds(percentile(answered, 99)), f"{hub.caught_up / 60:.1f} min",
                _seconds(percentile(hub.waits, 99)) if hub.waits else "nobody else",
            )  # fmt: skip


def at_the_hub(scales: Scales, sizes: Sequence[int]) -> Lines:
    """What a hub does in its peak hour."""
    pause = scales.value("page_pause_ms") / 1000
    yield from _head(
        "hospitals", "read at once", "changes/s", "desk taken", "told: 99 %", "looks/s at the page", "cores for them",
        "cores, one look in 5 s",
    )  # fmt: skip
    for hospitals in sizes:
        hub = scales.hub(hospitals)
        often, seldom = watching(scales, hospitals, pause), watching(scales, hospitals, 5.0)
        yield _row(
            f"{hospitals:,}", f"{often.readers:,.0f}", f"{often.changes:.2f}", _share(hub.desk.busy),
            _seconds(percentile(hub.waits, 99)), f"{often.looks:,.1f}", f"{often.cores:,.2f}", f"{seldom.cores:,.2f}",
        )  # fmt: skip


def moved(scales: Scales) -> Lines:
    """What moves the first bottleneck."""
    yield from _head("what is done", "hospitals a machine", "first to be full in it", "hospitals on the line")
    for each in changes(scales):
        yield _row(each.what, f"{each.machine:,.0f}", each.first, f"{each.line:,.0f}")


def million(scales: Scales, needed: Needed) -> Lines:
    """For a million studies."""
    yield from _head(
        "hospitals", "a machine", "hours of machines", "US$ for them", "films, TB", "US$ for their disk", "database, GB"
    )
    for hospitals, centre in needed.items():
        for where, machines in (("in each hospital", hospitals), ("in a centre", centre)):
            if machines is not None:
                found = bill(scales, hospitals, machines)
                yield _row(
                    f"{hospitals:,}", where, f"{found.hours:,.0f}", f"{found.machines:,.0f}", f"{found.films:.1f}",
                    f"{found.disk:,.0f}", f"{found.database:.1f}",
                )  # fmt: skip


def years(scales: Scales) -> Lines:
    """Films of before."""
    yield from _head("films", "days on the line of the centre", "days of one core to judge them")
    for films in (1e5, 1e6, 1e7):
        found = backfill(scales, films)
        yield _row(f"{found.films:,.0f}", f"{found.line_days:.1f}", f"{found.core_days:.1f}")


_WAITS = ("acknowledged: 99 %", "ranked: 50 %", "99 %", "heat map stored: 99 %")


def _waits(waits: Waits) -> list[str]:
    return [
        _seconds(percentile(waits.acknowledged, 99)),
        _seconds(percentile(waits.ranked, 50)),
        _seconds(percentile(waits.ranked, 99)),
        _seconds(percentile(waits.stored, 99)),
    ]


def _full(waits: Waits) -> str:
    name, share = busiest(waits.busy)
    return f"{name}, {_share(share)}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _head(*titles: str) -> Lines:
    yield _row(*titles)
    yield _row("---", *["---:"] * (len(titles) - 1))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def section(name: str, lines: Iterable[str], made: str) -> str:
    """A part of the page between its marks."""
    return "\n".join([f"<!-- {name} -->", *lines, "", made, f"<!-- /{name} -->"])
