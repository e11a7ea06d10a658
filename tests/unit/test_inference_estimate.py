"""What a site's films tell: recovered from films whose truth is known, and refused where they are too few."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cxr_node.errors import Permanent
from cxr_node.inference.estimate import Refit, prevalence, refit


def sample(share: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that are right at a prevalence of one half, and the truth, of films with `share` ill."""
    random = np.random.default_rng(seed)
    ill = random.random(count) < share
    score = random.normal(np.where(ill, 1.0, -1.0), 1.0)
    return 2 * score, ill  # the log of the two densities' ratio


@pytest.mark.parametrize("share", [0.05, 0.2, 0.7])
def test_the_prevalence_is_found_without_labels(share: float) -> None:
    log_odds, ill = sample(share, 1500)
    found, (low, high) = prevalence(log_odds, trained=0.5)
    assert low < found < high < low + 0.12
    assert found == pytest.approx(ill.mean(), abs=0.04)


def test_the_prevalence_is_a_fixed_point_of_the_shift() -> None:
    log_odds, _ = sample(0.3, 400)
    found, _ = prevalence(log_odds, trained=0.5)
    moved = log_odds + np.log(found / (1 - found))
    assert float(np.mean(1 / (1 + np.exp(-moved)))) == pytest.approx(found, abs=1e-5)


def test_the_trained_prevalence_is_taken_out_first() -> None:
    log_odds, _ = sample(0.3, 800)
    at_fifth = log_odds + np.log(0.2 / 0.8)
    assert prevalence(at_fifth, trained=0.2)[0] == pytest.approx(prevalence(log_odds, trained=0.5)[0], abs=1e-5)


def test_fewer_films_leave_the_prevalence_less_certain() -> None:
    widths = [high - low for _, (low, high) in (prevalence(sample(0.2, n)[0], 0.5) for n in (200, 3200))]
    assert widths[0] > 2.5 * widths[1]


def test_intervals_hold_the_truth_as_often_as_they_promise() -> None:
    held = 0
    for seed in range(40):
        _, (low, high) = prevalence(sample(0.2, 300, seed)[0], 0.5)
        held += low <= 0.2 <= high
    assert held >= 34


@pytest.mark.parametrize("count", [0, 199])
def test_too_few_films_without_labels_are_refused_with_their_number(count: int) -> None:
    with pytest.raises(Permanent, match=f"{count} studies without a label; it takes 200 or more") as caught:
        prevalence(np.zeros(count), 0.5)
    assert caught.value.code == "TOO_FEW_FILMS"


def test_films_that_all_look_ill_tell_no_prevalence() -> None:
    with pytest.raises(Permanent, match=r"100\.0% of 300 studies: these films cannot tell it"):
        prevalence(np.full(300, 9.0), 0.5)


def test_labels_recover_scale_and_bias() -> None:
    true, ill = sample(0.3, 4000)
    right = true + np.log(0.3 / 0.7)  # at the site's prevalence
    found = refit((right - 1) / 0.5, ill, 0.9)
    assert found.scale == pytest.approx(0.5, abs=0.04)
    assert found.bias == pytest.approx(1.0, abs=0.2)
    assert found.scale_interval[0] < 0.5 < found.scale_interval[1]
    assert found.bias_interval[0] < 1.0 < found.bias_interval[1]
    assert found.prevalence == pytest.approx(ill.mean())


def test_the_fit_is_that_of_logistic_regression() -> None:
    log_odds, ill = sample(0.4, 2000)
    found = refit(log_odds, ill, 0.9)
    plain = LogisticRegression(C=1e9, tol=1e-10).fit(log_odds[:, None], ill)
    assert found.scale == pytest.approx(plain.coef_[0, 0], rel=0.01)
    assert found.bias == pytest.approx(plain.intercept_[0], abs=0.01)


@pytest.mark.parametrize("sensitivity", [0.8, 0.95])
def test_the_threshold_finds_what_it_is_to_find(sensitivity: float) -> None:
    log_odds, ill = sample(0.3, 1000)
    found = refit(log_odds, ill, sensitivity)
    probabilities = 1 / (1 + np.exp(-(found.scale * log_odds + found.bias)))
    assert np.mean(probabilities[ill] >= found.points.threshold) >= sensitivity
    assert np.mean(probabilities[ill] > found.points.threshold) == pytest.approx(sensitivity, abs=0.01)
    assert np.mean(probabilities[~ill] < found.points.high) == pytest.approx(0.95, abs=0.01)
    assert found.points.threshold == found.points.medium <= found.points.high


def test_labels_that_the_outputs_separate_have_a_finite_fit() -> None:
    ill = np.arange(200) < 60
    found = refit(np.where(ill, 3.0, -3.0), ill, 0.9)
    assert isinstance(found, Refit)
    assert 0 < found.scale < 5


@pytest.mark.parametrize(
    ("count", "positive", "said"),
    [(99, 40, "99 labelled studies, 40 of them"), (300, 29, "29 of them"), (300, 271, "271 of them")],
)
def test_too_few_labels_are_refused_with_their_number(count: int, positive: int, said: str) -> None:
    with pytest.raises(Permanent, match=f"{said}.*it takes 100 or more, and 30 or more of each label"):
        refit(np.zeros(count), np.arange(count) < positive, 0.9)


def test_labels_that_are_turned_round_or_of_other_studies_are_refused() -> None:
    log_odds, ill = sample(0.5, 300)
    for labels in (~ill, np.random.default_rng(5).permutation(ill)):
        with pytest.raises(Permanent, match="are the labels turned round, or of other studies") as caught:
            refit(log_odds, labels, 0.9)
        assert caught.value.code == "CALIBRATION"
