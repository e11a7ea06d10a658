"""Figures with intervals: each source by itself, since a figure over a mix of hospitals says which hospital it was."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from training.data import UNKNOWN_PATIENT, Film

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats, Floats], float]

RESAMPLES = 2000
INTERVAL = (2.5, 97.5)
BINS = 10
SEED = 7


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scores:
    """How well probabilities tell one label from another in one group of films.

    `ece_expected` is the calibration error that perfectly calibrated probabilities would show at this number of films.
    """

    films: int
    patients: int
    positives: int
    auc: Estimate
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    brier: Estimate
    ece: Estimate
    ece_expected: float


def score(targets: Floats, probabilities: Floats, patients: Sequence[str], threshold: float) -> Scores:
    """Every figure for targets (n,), 0 or 1, and probabilities (n,); `threshold` decides positive.

    Intervals are from resampling patients, not films.
    """
    groups = np.unique(np.asarray(patients), return_inverse=True)[1]

    def estimate(metric: Metric) -> Estimate:
        return _bootstrap(metric, targets, probabilities, groups)

    def called(y: Floats, p: Floats, w: Floats) -> float:
        return float(np.average((p >= threshold) == (y == 1), weights=w))

    return Scores(
        films=len(targets),
        patients=int(groups.max()) + 1,
        positives=int(targets.sum()),
        auc=estimate(lambda y, p, w: float(roc_auc_score(y, p, sample_weight=w))),
        accuracy=estimate(called),
        sensitivity=estimate(lambda y, p, w: called(y[y == 1], p[y == 1], w[y == 1])),
        specificity=estimate(lambda y, p, w: called(y[y == 0], p[y == 0], w[y == 0])),
        brier=estimate(lambda y, p, w: float(np.average((p - y) ** 2, weights=w))),
        ece=estimate(calibration_error),
        ece_expected=_expected_error(probabilities),
    )


def positive_share(probabilities: Floats, patients: Sequence[str], threshold: float) -> Estimate:
    """The share of films called positive, for groups that hold one label only."""
    groups = np.unique(np.asarray(patients), return_inverse=True)[1]
    return _bootstrap(
        lambda _, p, w: float(np.average(p >= threshold, weights=w)),
        np.zeros_like(probabilities),
        probabilities,
        groups,
    )


def patients_of(films: Sequence[Film]) -> list[str]:
    """What to resample: the patient, or the film where the source names none."""
    return [str(film.path) if film.patient == UNKNOWN_PATIENT else film.patient for film in films]


def calibration_error(targets: Floats, probabilities: Floats, weights: Floats) -> float:
    """The expected calibration error: mean distance of probability and frequency in ten bins (arXiv 1706.04599)."""
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights * (probabilities - targets), minlength=BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def _expected_error(probabilities: Floats) -> float:
    random = np.random.default_rng(SEED)
    even = np.ones_like(probabilities)
    draws = (random.random((200, len(probabilities))) < probabilities).astype(float)
    return float(np.mean([calibration_error(draw, probabilities, even) for draw in draws]))


def _bootstrap(metric: Metric, targets: Floats, probabilities: Floats, groups: NDArray[np.intp]) -> Estimate:
    random = np.random.default_rng(SEED)
    count = int(groups.max()) + 1
    values = []
    for _ in range(RESAMPLES):
        weights = np.bincount(random.integers(0, count, count), minlength=count)[groups].astype(float)
        drawn = weights > 0
        values.append(_value(metric, targets[drawn], probabilities[drawn], weights[drawn]))
    low, high = np.nanpercentile(values, INTERVAL)
    return Estimate(_value(metric, targets, probabilities, np.ones_like(probabilities)), float(low), float(high))


def _value(metric: Metric, targets: Floats, probabilities: Floats, weights: Floats) -> float:
    """The metric, NaN where a resample happens to hold one label only."""
    try:
        return metric(targets, probabilities, weights)
    except (ValueError, ZeroDivisionError):
        return float("nan")
