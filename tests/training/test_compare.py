"""Paired comparison: the tests against what they promise, and the command on small runs."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from cxr_node.errors import ConfigError
from training.cli import commands
from training.compare import Side, compare, delong, mcnemar, sides
from training.data import Film
from training.reading import Question, Reading
from training.subject import open_subject

QUESTION = Question("finding", ("normal", "pneumonia"), {"normal": 0, "viral_pneumonia": 1})


def _side(name: str, scores: np.ndarray, targets: np.ndarray) -> Side:
    films = tuple(
        Film(Path(f"{n}.png"), "a", f"p{n}", ("normal", "viral_pneumonia")[t], "PA", "test")
        for n, t in enumerate(targets)
    )  # fmt: skip
    logits = np.column_stack([np.zeros(len(scores)), scores])
    return Side((name,), (Reading(QUESTION, films, logits, (scores > 0).astype(np.intp)),))


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_the_binomial_test_of_who_alone_was_right(one: int, two: int) -> None:
    first = np.array([True] * one + [False] * two + [True, False])
    second = np.array([False] * one + [True] * two + [True, False])
    found = mcnemar(first, second)
    assert (found["first_only"], found["second_only"]) == (one, two)
    tail = 2 * binom.cdf(min(one, two), one + two, 0.5)
    assert found["p"] == pytest.approx(min(1.0, tail))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=60))
def test_delong_has_the_areas_and_no_difference_from_itself(rows: list[tuple[bool, int, int]]) -> None:
    rows += [(True, 3, 5), (True, 6, 1), (False, 4, 4), (False, 0, 9)]
    positive, first, second = (np.array(each) for each in zip(*rows, strict=True))
    found = delong(positive, first.astype(float), second.astype(float))
    assert found["first"] == pytest.approx(roc_auc_score(positive, first))
    assert found["second"] == pytest.approx(roc_auc_score(positive, second))
    other = delong(positive, second.astype(float), first.astype(float))
    assert other["difference"] == pytest.approx(-found["difference"])
    assert other["p"] == pytest.approx(found["p"])
    assert delong(positive, first.astype(float), first.astype(float))["p"] == 1


def test_delongs_error_is_what_repeating_the_experiment_shows() -> None:
    random = np.random.default_rng(1)
    positive = np.arange(240) < 100
    found = []
    for _ in range(400):
        shared = random.normal(positive * 1.0, 1)
        found.append(delong(positive, shared + random.normal(0, 1, 240), shared + random.normal(0, 0.6, 240)))
    differences = [each["difference"] for each in found]
    assert np.mean([each["error"] for each in found]) == pytest.approx(np.std(differences), rel=0.1)


def test_equal_models_differ_as_often_by_chance_as_p_says() -> None:
    random = np.random.default_rng(2)
    positive = np.arange(120) < 60
    chances = []
    for _ in range(300):
        shared = random.normal(positive * 1.0, 1)
        chances.append(delong(positive, *(shared + random.normal(0, 1, 120) for _ in range(2)))["p"])
    assert 0.02 <= np.mean(np.array(chances) < 0.05) <= 0.09


def test_differences_have_intervals_and_seeds_a_spread() -> None:
    random = np.random.default_rng(3)
    targets = (np.arange(300) % 2).astype(np.intp)
    good, bad, noise = (random.normal((2 * targets - 1) * shift, 1) for shift in (2.0, 0.5, 0.4))
    first, second = _side("bad", bad, targets), _side("good", good, targets)
    seeds = Side(("bad-1", "bad-2"), (first.readings[0], _side("x", noise, targets).readings[0]))
    found = compare(seeds, second)
    difference = found["difference"]["accuracy"]
    assert difference["value"] == pytest.approx(
        found["second"]["accuracy"]["value"] - found["first"]["accuracy"]["value"]
    )
    assert 0 < difference["low"] < difference["value"] < difference["high"]
    assert found["difference"]["roc_auc"]["pneumonia"]["low"] > 0
    assert found["first"]["spread"] == pytest.approx(np.std(found["first"]["by_seed"], ddof=1))
    assert found["second"]["spread"] is None
    assert [(pair["first"], pair["second"]) for pair in found["pairs"]] == [("bad-1", "good"), ("bad-2", "good")]
    assert all(pair["delong"]["pneumonia"]["p"] < 0.001 for pair in found["pairs"])
    same = compare(first, first)
    assert same["difference"]["accuracy"] == {"value": 0, "low": 0, "high": 0}


@pytest.mark.training
def test_two_runs_are_compared_on_the_films_that_both_are_judged_on(
    films: list[Film], runs: Path, tmp_path: Path
) -> None:
    again = f"{runs / '000-cnn'},{runs / '000-cnn-seed'}"
    place = ["--manifest", str(films[0].path.parent), "--out", str(tmp_path)]
    done = CliRunner().invoke(commands, ["compare", again, str(runs / "002-vgg16-kind"), *place])
    assert done.exit_code == 0, done.output
    assert "12 films of 12 patients; normal, bacterial, viral" in done.output
    assert "between seeds" in done.output
    assert len(json.loads((tmp_path / "comparison.json").read_text())["pairs"]) == 2


@pytest.mark.training
def test_what_answers_no_common_question_is_not_compared(films: list[Film], runs: Path) -> None:
    with pytest.raises(ConfigError, match="000-cnn and 002-vgg16-finding do not answer the same question"):
        sides([open_subject(runs / "000-cnn")], [open_subject(runs / "002-vgg16-finding")], films, "test")
