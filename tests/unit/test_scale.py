"""The simulation of regions: its queues against queueing theory, its figures from where they say, its seed."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simpy
from click.testing import CliRunner

from tests.benchmarks.scale import costs, region
from tests.benchmarks.scale.__main__ import DOCUMENT, main
from tests.benchmarks.scale.arithmetic import backfill, shares, watching
from tests.benchmarks.scale.flow import Layout, Play, Station, Waits
from tests.benchmarks.scale.hub import Hub
from tests.benchmarks.scale.scenarios import Scales, percentile

TIMES = ("ranked_ms", "network_then_ms", "network_ms", "sr_stored_ms", "heatmap_stored_ms", "ranked_within_seconds")
PACES = ("films_received_per_second", "studies_per_second")
FIGURES = costs.load()
COSTS = costs.costs(FIGURES)
SLOWER = 8  # a machine so much slower serves so many fewer hospitals: the same queues, of fewer films to play
SLOW = {
    **FIGURES,
    **{name: replace(FIGURES[name], value=FIGURES[name].value * SLOWER) for name in TIMES},
    **{name: replace(FIGURES[name], value=FIGURES[name].value / SLOWER) for name in PACES},
    "centre_megabits": replace(FIGURES["centre_megabits"], value=10_000.0),
}


def waits_at(places: int, pace: float, service: Callable[[], float], customers: int, seed: int = 1) -> np.ndarray:
    """Seconds that each of so many customers waits before it is served, at a station alone."""
    world = simpy.Environment()
    station = Station(world, places, 0.0, 1.0)
    random = np.random.default_rng(seed)
    found = []

    def customer(seconds: float) -> simpy.events.ProcessGenerator:
        came = world.now
        yield from station.serve(seconds)
        found.append(world.now - came - seconds)

    def door() -> simpy.events.ProcessGenerator:
        for _ in range(customers):
            yield world.timeout(random.exponential(1 / pace))
            world.process(customer(service()))

    world.process(door())
    world.run()
    return np.array(found)


def erlang_wait(places: int, pace: float, mean: float) -> float:
    """The mean wait of M/M/c (Erlang C)."""
    offered = pace * mean
    busy = offered / places
    last = offered**places / math.factorial(places) / (1 - busy)
    waiting = last / (sum(offered**k / math.factorial(k) for k in range(places)) + last)
    return waiting * mean / (places * (1 - busy))


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_one_place_and_a_fixed_time_wait_as_pollaczek_and_khinchine_say(busy: float) -> None:
    found = waits_at(1, busy, lambda: 1.0, 60_000).mean()
    assert found == pytest.approx(busy / (2 * (1 - busy)), rel=0.08)


@pytest.mark.parametrize(("places", "busy"), [(1, 0.7), (2, 0.7), (4, 0.8)])
def test_several_places_wait_as_erlang_says(places: int, busy: float) -> None:
    random = np.random.default_rng(2)
    found = waits_at(places, places * busy, lambda: float(random.exponential(1.0)), 60_000).mean()
    assert found == pytest.approx(erlang_wait(places, places * busy, 1.0), rel=0.1)


@pytest.mark.parametrize(("places", "busy"), [(2, 0.9), (4, 0.8)])
def test_several_places_and_a_fixed_time_wait_as_cosmetatos_says(places: int, busy: float) -> None:
    found = waits_at(places, places * busy, lambda: 1.0, 60_000).mean()
    more = (1 - busy) * (places - 1) * (math.sqrt(4 + 5 * places) - 2) / (16 * busy * places)
    assert found == pytest.approx(erlang_wait(places, places * busy, 1.0) / 2 * (1 + more), rel=0.1)


def hour(place: region.Region, spent: costs.Costs, layout: Layout, seed: int = 1) -> Waits:
    play = Play(place, spent, layout, seed)
    return play.run(region.fresh(place, play.until, np.random.default_rng(seed)))


def played(hospitals: int, layout: Layout, seed: int = 1) -> Waits:
    return hour(region.region(hospitals, FIGURES), COSTS, layout, seed)


def test_a_film_alone_waits_for_nothing_but_its_own_steps() -> None:
    place = replace(region.region(1, FIGURES), films_per_study=1.0)
    play = Play(place, COSTS, Layout(), seed=1)
    waits = play.run([region.Study(site=0, made=700.0, films=1)])
    assert waits.acknowledged == [pytest.approx(place.transfer(place.lan_megabits) + COSTS.receive)]
    assert waits.ranked == [pytest.approx(COSTS.analyse + COSTS.network)]
    assert waits.stored == [pytest.approx(COSTS.documents)]


def test_stations_are_as_busy_as_arithmetic_says() -> None:
    place = region.region(500, FIGURES)
    found, expected = played(500, Layout(machines=1)).busy, shares(place, COSTS)
    assert found["cores"] == pytest.approx(expected["cores"], rel=0.05)
    assert found["line of the centre"] == pytest.approx(expected["line of the centre"], rel=0.05)
    for process in ("listener", "infer", "work"):  # a process is taken while it waits for a core, too
        assert expected[process] * 0.95 < found[process] < expected[process] * 1.5


def test_the_same_seed_plays_the_same_hour_and_another_another() -> None:
    layout = Layout(machines=2)
    assert played(100, layout) == played(100, layout)
    assert played(100, layout) != played(100, layout, seed=2)


def test_a_pool_that_loses_all_its_replicas_costs_a_film_the_time_out_and_no_film() -> None:
    whole, lost = (played(100, Layout(pool=2, lost=lost)) for lost in (0, 2))
    assert len(whole.ranked) == len(lost.ranked) > 1000
    assert max(whole.ranked) < 1.0
    late = sum(wait > 1.0 for wait in lost.ranked)
    assert 0.4 < late / len(lost.ranked) < 0.6  # it was gone for half of the hour
    assert played(100, Layout(pool=2, lost=1)).ranked == pytest.approx(whole.ranked, abs=0.1)


def test_more_films_than_a_machine_can_judge_pile_up_and_a_second_machine_takes_them() -> None:
    place = replace(region.region(1000 // SLOWER, SLOW), peak_share=0.2)
    one, two = (hour(place, costs.costs(SLOW), Layout(machines=count)) for count in (1, 2))
    piled, taken = (
        percentile([before + after for before, after in zip(waits.acknowledged, waits.ranked, strict=True)], 99)
        for waits in (one, two)
    )  # before or after they are acknowledged: the process that is the slowest by a little holds them all
    assert piled > 100
    assert taken < 10


def test_a_hospital_that_comes_back_sends_the_day_at_the_pace_of_its_line() -> None:
    place = region.region(10, FIGURES)
    play = Play(place, COSTS, Layout(machines=2), seed=1)
    random = np.random.default_rng(1)
    day = region.kept(place, 1, play.WARM_UP, random)
    waits = play.run([*region.fresh(place, play.until, random), *day])
    alone = sum(study.films for study in day) * place.transfer(place.site_megabits)
    assert alone < waits.caught_up < 1.2 * alone + 10
    assert sum(not fresh for fresh in waits.fresh) == sum(study.films for study in day)


def test_a_hub_hears_of_a_day_one_change_after_the_other() -> None:
    place = region.region(10, FIGURES)
    hub = Hub(place, COSTS, seed=1, dark=1)
    hub.run()
    day = place.studies_per_day * place.changes_per_study * (place.round_trip + COSTS.change)
    assert hub.caught_up == pytest.approx(day, rel=0.3)
    assert percentile(hub.waits, 99) < 0.1  # the nine others hardly notice


def test_who_reads_and_looks_follows_from_what_comes() -> None:
    scales = Scales(FIGURES, 1)
    few, many = (watching(scales, hospitals, pause=0.25) for hospitals in (10, 1000))
    assert few.readers == pytest.approx(10 * 160 * 0.10 * 8 / 60)
    assert few.looks == pytest.approx(few.readers * few.changes)  # every change is looked at
    assert many.looks == pytest.approx(many.readers / 0.25)  # as often as the page may
    assert backfill(scales, 2e6).core_days == pytest.approx(2 * backfill(scales, 1e6).core_days)


def test_a_centre_is_sized_so_that_one_machine_may_be_lost() -> None:
    scales = Scales(SLOW, 1)
    assert scales.machines(10) == 2
    assert scales.machines(1400 // SLOWER) == 3


def test_a_line_that_is_full_is_helped_by_no_number_of_machines() -> None:
    scales = Scales({**FIGURES, "centre_megabits": replace(FIGURES["centre_megabits"], value=50.0)}, 1)
    assert scales.machines(100) is None


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ('file = "page.md"\nsection = "part"\nfind = "(\\\\d+) films"', "figure: nothing in page.md, part, matches"),
        ('file = "page.md"\nsection = "other"\nfind = "(\\\\d+) ms"', "figure: nothing in page.md, other, matches"),
        ("value = 3", "figure in .*: give `file` and `find`, or a `value` above 0 and `why`"),
        ('value = -3\nwhy = "a guess"', "a `value` above 0"),
    ],
)
def test_a_figure_without_a_ground_is_refused(tmp_path: Path, said: str, complaint: str) -> None:
    (tmp_path / "page.md").write_text("7 films <!-- part -->8 ms<!-- /part -->")
    (tmp_path / "costs.toml").write_text(f"[figure]\n{said}\n")
    with pytest.raises(ValueError, match=complaint):
        costs.load(tmp_path / "costs.toml", tmp_path)


def test_figures_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="measure `latency` and `stages` again"):
        costs.costs({**FIGURES, "sr_stored_ms": replace(FIGURES["sr_stored_ms"], value=FIGURES["ranked_ms"].value / 2)})


def test_the_command_prints_every_part_of_the_page() -> None:
    result = CliRunner().invoke(main, ["--hospitals", "20"], catch_exceptions=False)
    parts = [line[3:] for line in result.output.splitlines() if line.startswith("## ")]
    page = DOCUMENT.read_text("utf-8")
    assert len(parts) == 9
    assert [part for part in parts if f"<!-- {part} -->" not in page or f"<!-- /{part} -->" not in page] == []


@pytest.mark.parametrize("said", ["", "ten", "0", "10,", "3000", "-1"])
def test_the_command_refuses_what_is_no_size(said: str) -> None:
    result = CliRunner().invoke(main, ["--hospitals", said])
    assert result.exit_code == 2
    assert "give numbers of hospitals" in result.output
