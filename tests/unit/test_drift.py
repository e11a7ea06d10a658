"""Whether something moved: the index, what chance does, shares, and intervals."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.drift import counts, edges, of_counts, of_shares, rate, shift


def test_the_index_is_that_of_the_definition() -> None:
    found = of_counts([500, 300, 200], [300, 300, 400])
    shares = [[(n + 0.5) / 1001.5 for n in one] for one in ([500, 300, 200], [300, 300, 400])]
    assert found.psi == pytest.approx(math.fsum((a - e) * math.log(a / e) for e, a in zip(*shares, strict=True)))
    assert found.by_chance == pytest.approx(13.816 * (1 / 1000 + 1 / 1000))
    assert found.verdict == "moved"


@pytest.mark.parametrize(
    ("week", "verdict"),
    [([100, 100], "steady"), ([65, 135], "moved"), ([40, 160], "moved_much"), ([10, 15], "too_few")],
)
def test_limits(week: list[int], verdict: str) -> None:
    assert of_counts([1000, 1000], week).verdict == verdict


def test_a_small_week_needs_more_than_the_limit() -> None:
    """Ten classes, 40 films: an index of 0.25 is nothing unusual, and says nothing."""
    generator = random.Random(7)
    reference = [generator.random() for _ in range(400)]
    seen = [shift(reference, [generator.random() for _ in range(40)]) for _ in range(300)]
    assert sum(one.psi > 0.1 for one in seen) > 250
    assert sum(one.verdict != "steady" for one in seen) <= 3


def test_what_moved_is_found() -> None:
    generator = random.Random(7)
    reference = [generator.gauss(0.3, 0.1) for _ in range(1000)]
    assert shift(reference, [generator.gauss(0.3, 0.1) for _ in range(200)]).verdict == "steady"
    assert shift(reference, [generator.gauss(0.38, 0.1) for _ in range(200)]).verdict == "moved_much"
    assert shift(reference[:50], reference).verdict == "too_few"


def test_a_reference_that_never_varies_has_one_class() -> None:
    assert edges([0.5] * 200) == ()
    assert shift([0.5] * 200, [0.9] * 100).verdict == "steady"
    assert edges([0.0] * 100 + [1.0] * 100) == (1.0,)


@given(st.lists(st.floats(0, 1), min_size=100, max_size=300), st.lists(st.floats(0, 1), min_size=30, max_size=100))
def test_every_value_is_in_one_class_and_the_index_is_no_debt(reference: list[float], week: list[float]) -> None:
    bounds = edges(reference)
    assert list(bounds) == sorted(set(bounds))
    assert sum(counts(week, bounds)) == len(week)
    assert shift(reference, week).psi >= 0
    assert shift(reference, reference).verdict == "steady"


def test_shares() -> None:
    assert of_shares(20, 1000, 4, 200).verdict == "steady"
    assert of_shares(20, 1000, 40, 200).verdict == "moved_much"
    assert of_shares(20, 1000, 1, 10).verdict == "too_few"


def test_classes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 and 3 classes"):
        of_counts([1, 2], [1, 2, 3])


def test_a_rate_has_wilsons_interval() -> None:
    found = rate(81, 263)  # Newcombe, Statistics in Medicine 17:857, 1998, table I
    assert (found.share, found.low, found.high) == pytest.approx((0.3080, 0.2553, 0.3662), abs=5e-5)
    assert rate(0, 0).share is None
    assert rate(0, 20).low == pytest.approx(0, abs=1e-12)
    assert rate(0, 20).high == pytest.approx(0.1611, abs=5e-5)
