"""What becomes of figures: tables, goals, the page, the document; and that every part measures something."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import document, goals, receive, sheet
from tests.benchmarks.figures import FULL, QUICK, Figure, Part, load, ratios, record
from tests.benchmarks.history import measure as measure_history

GROUP = "films of 15 MB, uncompressed"


def received(ours: list[float], theirs: list[float]) -> Part:
    """One association, at ours and at dcmtk's storescp."""
    part, column = Part("receive", "Receiving"), receive.column(1)
    found = {
        name: Figure(name, column, "films/s", samples, GROUP)
        for name, samples in ((receive.SCP, theirs), (receive.OURS, ours))
    }
    for figure in found.values():
        part.add(figure)
    part.add(ratios(found[receive.OURS], found[receive.SCP], f"{column}, against storescp"))
    part.add("A busy machine.")
    return part


def test_a_figure_tells_its_spread() -> None:
    assert str(Figure("a", "b", "ms", [1.0, 2.0, 40.0])) == "2 (1..40)"
    assert str(Figure("a", "b", "ms", [2.0, 2.0])) == "2"
    assert str(Figure("a", "b", "ms", list(range(101)), tail=True)) == "50 / 95 / 99"
    assert str(Figure("a", "b", "ms", [1234.5], tail=True)) == "1234 / 1234 / 1234"


def test_ratios_are_taken_round_by_round() -> None:
    slow, fast = Figure("ours", "c", "films/s", [1, 20]), Figure("theirs", "c", "films/s", [2, 10])
    assert ratios(slow, fast, "against theirs").samples == [0.5, 2.0]


def test_results_are_read_as_they_were_written() -> None:
    part = received([30, 31], [30, 20])
    lines = list(record(part, FULL, "python -m tests.benchmarks receive"))
    parts, told = load(lines)
    assert [*parts["receive"].markdown()] == [*part.markdown()]
    assert {"part", "scale", "date", "machine", "command"} == set(told[0])
    assert json.loads(lines[0])["machine"]["cores"] > 0


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [([20.0], "missed"), ([24.0], "met, but not the better one"), ([30.0], "met")],
)
def test_a_goal_is_missed_met_or_surpassed(ours: list[float], verdict: str) -> None:
    title, wanted, measured, spread, found = next(goals.verdicts({"receive": received(ours, [30.0])}))
    assert (title, wanted) == ("receive, 1 association, against storescp", "at least 0.7, better 1 x")
    assert measured == f"{ours[0] / 30:.3g} x"
    assert spread.endswith("1 times")
    assert found == verdict


def test_what_was_not_measured_is_not_met() -> None:
    assert {row[-1] for row in goals.verdicts({})} == {"not measured"}


def test_by_a_quick_run_nothing_is_met() -> None:
    assert goals.caution([{"scale": FULL.name}, {"scale": QUICK.name}])
    assert not goals.caution([{"scale": FULL.name}])


def test_the_slowest_count_where_a_goal_speaks_of_them() -> None:
    goal = goals.Goal("t", "p", "r", "c", unit="ms", kind="at most", limit=500.0, of=1)
    part = Part("p", "P", [Figure("r", "c", "ms", [*[100.0] * 90, *[600.0] * 10], tail=True)])
    found = goal.find({"p": part})
    assert found
    assert goal.reached(found.percentiles[goal.of]) == "missed"
    assert goal.reached(found.median) == "met"


def test_every_goal_is_looked_for_where_it_is_measured() -> None:
    """A goal of a part names a part that is run."""
    from tests.benchmarks.__main__ import PARTS

    assert {goal.part for goal in goals.GOALS} <= set(PARTS)


def test_the_page_has_goals_tables_and_plots_and_needs_nothing_else() -> None:
    part = received([30, 31], [30, 20])
    parts, told = load(record(part, FULL, "python -m tests.benchmarks receive"))
    html = sheet.page(parts, told)
    assert html.count("data:image/svg+xml;base64,") == 1, "of films/s; of a single ratio none"
    assert "quick run" not in html
    assert "A busy machine." in html
    assert "<td>met" in html
    assert "http" not in html


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A document with figures of before."""
    path = tmp_path / "benchmarks.md"
    sections = (f"<!-- {name} -->\nold {name}\n<!-- /{name} -->\n" for name in ("goals", "receive"))
    path.write_text("# Benchmarks\n" + "by hand\n".join(sections))
    return path


def test_sections_of_the_document_are_replaced_and_the_rest_stays(before: Path) -> None:
    parts: dict[str, Part] = {}
    for goal in goals.GOALS:
        part = parts.setdefault(goal.part, Part(goal.part, goal.part))
        part.add(Figure(goal.row, goal.column, goal.unit, [1.0], goal.group))
    lines = [line for part in parts.values() for line in record(part, FULL, "python -m tests.benchmarks")]
    document.write(*load(lines), before)
    text = before.read_text()
    assert ("old goals" in text, "old receive" in text) == (False, False)
    assert "\nby hand\n" in text
    assert "| receive, 1 association, against storescp | at least 0.7, better 1 x | 1 x |" in text
    assert "`python -m tests.benchmarks`; " in text


def test_goals_are_not_replaced_by_fewer(before: Path) -> None:
    document.write(*load(record(received([30.0], [30.0]), FULL, "python -m tests.benchmarks receive")), before)
    text = before.read_text()
    assert ("old goals" in text, "old receive" in text) == (True, False)
    assert "`python -m tests.benchmarks receive`; " in text


def test_a_quick_run_is_not_written_into_the_document() -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "stages", "--quick", "--write"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


def test_a_film_goes_its_way_beside_many_others(tmp_path: Path) -> None:
    scale = replace(QUICK, history=(0, 30), repeats=2)
    figures = [each for each in measure_history(tmp_path, scale) if isinstance(each, Figure)]
    assert all(len(figure.samples) == 2 and min(figure.samples) > 0 for figure in figures)
    assert {figure.unit for figure in figures} == {"ms", "x"}


@pytest.mark.peers
def test_a_quick_run_measures_and_shows(tmp_path: Path) -> None:
    """As a user runs it: the whole way of some films, from dcmtk's storescu through a node to dcmtk's storescp."""
    command = [sys.executable, "-m", "tests.benchmarks", "latency", "startup", "--quick", "--out", str(tmp_path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "| takes films after its start | at most 2 s |" in said
    parts, _ = load((tmp_path / "results.jsonl").read_text().splitlines())
    assert list(parts) == ["latency", "startup"]
    assert (tmp_path / "index.html").stat().st_size > 10_000
