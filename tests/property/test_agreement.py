"""The figures of two models' agreement, against scikit-learn and SciPy, and what holds for any films."""

import math
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, pearsonr
from sklearn.metrics import cohen_kappa_score

from cxr_node.domain.agreement import Pair, agreement, by_week
from tests.bench import NOON

WEEK = 7 * 86400


def pair(one: float, other: float, at: float = NOON) -> Pair:
    return Pair(at, one, other, one >= 0.5, other >= 0.4)


pairs = st.lists(st.builds(pair, st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60)


@given(pairs)
def test_counts_add_up_and_changing_sides_changes_signs_only(given: list[Pair]) -> None:
    found = agreement(given)
    turned = agreement([Pair(p.received_at, p.other, p.one, p.other_positive, p.one_positive) for p in given])
    assert found.both_positive + found.both_negative + found.only_one + found.only_other == found.films == len(given)
    assert (turned.only_one, turned.only_other) == (found.only_other, found.only_one)
    assert turned.mcnemar_p == pytest.approx(found.mcnemar_p)
    assert turned.mean_difference == pytest.approx(-found.mean_difference)
    assert 0 <= found.mcnemar_p <= 1
    for figure in (found.kappa, found.correlation):
        assert figure is None or -1 <= figure <= 1 + 1e-12


@given(pairs)
def test_kappa_is_scikit_learns(given: list[Pair]) -> None:
    one, other = [p.one_positive for p in given], [p.other_positive for p in given]
    found = agreement(given).kappa
    if len(set(one) | set(other)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)


@pytest.mark.parametrize(("only_one", "only_other"), [(0, 0), (1, 0), (3, 9), (40, 20), (1000, 1100)])
def test_mcnemar_is_the_exact_binomial_test(only_one: int, only_other: int) -> None:
    found = agreement([pair(0.9, 0.1)] * only_one + [pair(0.1, 0.9)] * only_other + [pair(0.9, 0.9)])
    expected = binomtest(only_one, only_one + only_other).pvalue if only_one + only_other else 1.0
    assert found.mcnemar_p == pytest.approx(expected, rel=1e-9)


def test_correlation_is_pearsons() -> None:
    random = np.random.default_rng(0)
    one = random.random(200)
    other = np.clip(one + random.normal(0, 0.2, 200), 0, 1)
    found = agreement([pair(float(a), float(b)) for a, b in zip(one, other, strict=True)])
    assert found.correlation == pytest.approx(pearsonr(one, other).statistic)
    assert found.mean_difference == pytest.approx(float(np.mean(one - other)))
    assert agreement([pair(0.5, 0.1), pair(0.5, 0.9)]).correlation is None


def test_weeks_are_those_of_the_site() -> None:
    sunday_night = NOON + 3 * 86400 + 11.5 * 3600  # 2026-01-04T23:30Z
    found = by_week([pair(0.9, 0.9, sunday_night), pair(0.1, 0.1, sunday_night + WEEK)], ZoneInfo("UTC"))
    assert list(found) == ["2026-W01", "2026-W02"]
    assert list(by_week([pair(0.9, 0.9, sunday_night)], ZoneInfo("Europe/Madrid"))) == ["2026-W02"]
    assert found["2026-W01"].both_positive == found["2026-W02"].both_negative == 1


def test_there_is_none_on_no_film() -> None:
    with pytest.raises(ValueError, match="no film"):
        agreement([])
    assert math.isclose(agreement([pair(0.5, 0.5)]).mcnemar_p, 1.0)
