"""Figures with intervals: each source by itself, since a figure over a mix of hospitals says which hospital it was."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    return Scores(
        films=len(targets),
        patients=int(groups.max()) + 1,
        positives=int(targets.sum()),
        auc=estimate(roc_area),
        accuracy=estimate(lambda y, p, w: _mean((p >= threshold) == (y == 1), w)),
        sensitivity=estimate(lambda y, p, w: _mean(p >= threshold, w * y)),
        specificity=estimate(lambda y, p, w: _mean(p < threshold, w * (1 - y))),
        brier=estimate(lambda y, p, w: _mean((p - y) ** 2, w)),
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


def roc_area(targets: Floats, probabilities: Floats, weights: Floats) -> float:
    """The area under the ROC curve: the weighted share of pairs in the right order, ties half; NaN without pairs."""
    place = np.unique(probabilities, return_inverse=True)[1]
    positive = np.bincount(place, weights * targets)
    negative = np.bincount(place, weights * (1 - targets))
    ordered = positive * (np.cumsum(negative) - negative / 2)
    pairs = positive.sum() * negative.sum()
    return float(ordered.sum() / pairs) if pairs else math.nan


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
        values.append(metric(targets, probabilities, weights))
    low, high = np.nanpercentile(values, INTERVAL)
    return Estimate(metric(targets, probabilities, np.ones_like(probabilities)), float(low), float(high))


def _mean(values: NDArray[Any], weights: Floats) -> float:
    """The weighted mean, NaN without weight: a resample may happen to hold one label only."""
    total = weights.sum()
    return float((values * weights).sum() / total) if total else math.nan
