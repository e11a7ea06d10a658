"""The figures against scikit-learn, whatever the films; and what the intervals and calibrations promise."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference
from sklearn.linear_model import LogisticRegression

from cxr_node.errors import ConfigError
from training import metrics
from training.bootstrap import RESAMPLES, patients_of, resampled_by, resamples
from training.data import Film
from training.operating import curve, threshold_at
from training.scaling import Scaling, fit_scaling, unscaled

Films = tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]


@st.composite
def two_classes(draw: st.DrawFn) -> Films:
    """Targets of both classes, scores with ties, and weights as a resample has them."""
    count = draw(st.integers(2, 40))
    targets = [0, 1, *draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))]
    size = len(targets)
    scores = draw(st.lists(st.integers(0, 12), min_size=size, max_size=size))
    weights = [1, 1, *draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))]
    return np.array(targets), np.array(scores) / 12, np.array(weights, dtype=float)


@st.composite
def several_classes(draw: st.DrawFn) -> Films:
    """Targets of three classes, probabilities that sum to one, and weights."""
    count = draw(st.integers(1, 25))
    targets = [0, 1, 2, *draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))]
    size = len(targets)
    raw = draw(st.lists(st.tuples(*[st.floats(0.01, 1)] * 3), min_size=size, max_size=size))
    weights = [1, 1, 1, *draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))]
    probabilities = np.array(raw) / np.sum(raw, axis=1, keepdims=True)
    return np.array(targets), probabilities, np.array(weights, dtype=float)


@given(two_classes())
def test_areas_are_scikit_learns(films: Films) -> None:
    targets, scores, weights = films
    assert metrics.roc_area(targets, scores, weights) == pytest.approx(
        reference.roc_auc_score(targets, scores, sample_weight=weights)
    )
    assert metrics.average_precision(targets, scores, weights) == pytest.approx(
        reference.average_precision_score(targets, scores, sample_weight=weights)
    )


@given(two_classes())
def test_a_curve_has_scikit_learns_area(films: Films) -> None:
    targets, scores, _ = films
    found = curve(targets == 1, scores)
    area = reference.auc(1 - np.array(found["specificity"]), found["sensitivity"])
    assert area == pytest.approx(reference.roc_auc_score(targets, scores))
    assert found["sensitivity"][-1] == 1
    assert found["specificity"][-1] == 0


@given(several_classes())
def test_calls_are_counted_as_scikit_learn_does(films: Films) -> None:
    targets, probabilities, weights = films
    called = probabilities.argmax(axis=1)
    assert np.array_equal(metrics.confusion(called, targets, 3), reference.confusion_matrix(targets, called))
    for found, expected in (
        (metrics.share(called == targets, weights), reference.accuracy_score),
        (metrics.balanced_accuracy(called, targets, 3, weights), reference.balanced_accuracy_score),
    ):
        assert found == pytest.approx(expected(targets, called, sample_weight=weights))
    recalls = reference.recall_score(targets, called, average=None, sample_weight=weights)
    assert [metrics.recall(called, targets, place, weights) for place in range(3)] == pytest.approx(list(recalls))


@given(several_classes())
def test_brier_scores_are_scikit_learns(films: Films) -> None:
    targets, probabilities, weights = films
    expected = reference.brier_score_loss(targets, probabilities, sample_weight=weights, labels=[0, 1, 2])
    assert metrics.brier(targets, probabilities, weights) == pytest.approx(expected)
    two = np.column_stack([1 - probabilities[:, 0], probabilities[:, 0]])
    expected = reference.brier_score_loss(targets == 0, probabilities[:, 0], sample_weight=weights)
    assert metrics.brier((targets == 0).astype(np.intp), two, weights) == pytest.approx(expected)


@given(several_classes())
def test_rows_of_weights_are_each_their_own(films: Films) -> None:
    targets, probabilities, weights = films
    rows = np.stack([weights, np.ones_like(weights)])
    positive, scores = targets == 1, probabilities[:, 1]
    measures: list[Callable[[NDArray[np.float64]], NDArray[np.float64]]] = [
        lambda rows: metrics.roc_area(positive, scores, rows),
        lambda rows: metrics.average_precision(positive, scores, rows),
        lambda rows: metrics.calibration_error(positive, scores, rows),
        lambda rows: metrics.brier(targets, probabilities, rows),
    ]
    for measure in measures:
        assert measure(rows) == pytest.approx(np.array([measure(row) for row in rows]))


def test_nothing_to_measure_is_not_a_number() -> None:
    one, scores = np.ones(3), np.array([0.1, 0.2, 0.3])
    assert math.isnan(metrics.roc_area(one, scores, one))
    assert math.isnan(metrics.share(one, np.zeros(3)))
    assert math.isnan(metrics.average_precision(np.zeros(3), scores, one))


def test_the_expected_error_is_that_of_perfect_calibration() -> None:
    random = np.random.default_rng(3)
    probabilities = random.random(400)
    true = (random.random((300, 400)) < probabilities).astype(float)
    errors = [float(metrics.calibration_error(row, probabilities, np.ones(400))) for row in true]
    assert metrics.expected_error(probabilities, 1) == pytest.approx(np.mean(errors), rel=0.05)
    bins = metrics.reliability((probabilities > 0.5).astype(float), probabilities)
    assert sum(each["films"] for each in bins) == 400
    assert bins[0]["frequency"] == 0
    assert bins[-1]["frequency"] == 1
    assert 0.9 < bins[-1]["probability"] < 1


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(100):
        right = np.repeat(random.random(60) < 0.8, 2)  # two films a patient, both right or both wrong
        drawn = resamples([str(number // 2) for number in range(120)])
        found = drawn.estimate(lambda w, right=right: metrics.share(right, w))
        covered += found.low <= 0.8 <= found.high
    assert 88 <= covered <= 99


def test_films_of_one_patient_stand_and_fall_together() -> None:
    drawn = resamples(["a", "a", "b", "c"])
    assert drawn.weights.shape == (RESAMPLES + 1, 4)
    assert drawn.patients == 3
    assert np.array_equal(drawn.weights[0], np.ones(4))
    assert np.array_equal(drawn.weights[:, 0], drawn.weights[:, 1])
    assert np.all(drawn.weights[1:, 1:].sum(axis=1) == 3)
    right = np.array([True, True, False, True])
    wide = drawn.estimate(lambda w: metrics.share(right, w))
    assert wide.low <= wide.value <= wide.high
    assert np.array_equal(resamples(["a", "a", "b", "c"]).weights, drawn.weights)


def test_what_is_resampled_is_said() -> None:
    known = Film(Path("a.png"), "s", "p1", "normal", "PA", "test")
    unknown = Film(Path("b.png"), "s", "unknown", "normal", "PA", "test")
    assert patients_of([known, unknown]) == ["p1", "b.png"]
    assert resampled_by([known]) == "patients"
    assert resampled_by([unknown]).startswith("films, as no patient is known")
    assert "1 films by themselves" in resampled_by([known, unknown])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_threshold_reaches_its_sensitivity_and_no_higher_one_does(scores: list[float], wanted: float) -> None:
    positives = np.array(scores)
    threshold = threshold_at(positives, wanted)
    assert np.mean(positives >= threshold) >= wanted - 1e-9
    higher = positives[positives > threshold]
    if len(higher):
        assert np.mean(positives >= higher.min()) < wanted


def test_two_classes_are_calibrated_as_by_logistic_regression() -> None:
    random = np.random.default_rng(2)
    targets = np.repeat([0, 1], 200).astype(np.intp)
    logit = 3 * random.normal(2 * targets - 1.5, 2)
    found = fit_scaling(np.column_stack([np.zeros(400), logit]), targets, ("no", "yes"))
    model = LogisticRegression(C=1e6, tol=1e-8, class_weight="balanced").fit(logit[:, None], targets)
    assert found.scales == pytest.approx((model.coef_[0, 0],) * 2, rel=1e-3)
    assert found.biases == pytest.approx((0.0, model.intercept_[0]), abs=1e-3)


def test_calibration_recovers_what_was_done_to_the_logits_and_shifts_to_other_shares() -> None:
    random = np.random.default_rng(4)
    true = random.normal(0, 2, (30_000, 3))
    shares = unscaled(3).probabilities(true)
    targets = np.array([random.choice(3, p=row) for row in shares], dtype=np.intp)
    bent = (true - [0.0, 1.0, -0.5]) * 4
    found = fit_scaling(bent, targets, ("a", "b", "c"))
    assert found.scales == pytest.approx((0.25,) * 3, rel=0.03)
    counts = np.bincount(targets) / len(targets)
    probabilities = found.probabilities(bent, counts)
    assert np.abs(probabilities - shares).max() < 0.05
    certain = Scaling((1.0, 1.0), (0.0, 0.0)).probabilities(np.zeros((1, 2)), (1.0, 0.0))
    assert certain.tolist() == [[1.0, 0.0]]


@settings(max_examples=25, deadline=None)
@given(several_classes())
def test_calibration_never_worsens_the_fit_on_its_own_films(films: Films) -> None:
    targets, probabilities, _ = films
    logits = np.log(probabilities)
    found = fit_scaling(logits, targets, ("a", "b", "c"))
    weights = 1 / np.bincount(targets)[targets]

    def loss(scaling: Scaling) -> float:
        return float(-(weights * np.log(scaling.probabilities(logits)[np.arange(len(targets)), targets])).sum())

    assert loss(found) <= loss(unscaled(3)) + 1e-6


def test_validation_films_of_one_class_calibrate_nothing() -> None:
    with pytest.raises(ConfigError, match="The validation films show no 'yes'"):
        fit_scaling(np.zeros((4, 2)), np.zeros(4, dtype=np.intp), ("no", "yes"))
