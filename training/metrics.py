"""Figures of a classification under weights (..., n) of its films: each row of weights gives one value.

With all weights one the values are those of scikit-learn; rows that count resampled patients give a bootstrap in one
pass. NaN where a row leaves nothing to measure: a resample may happen to hold one class only.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Truths = NDArray[np.bool_]

BINS = 10


def share(true: NDArray[np.generic], weights: Floats) -> Floats:
    """The weighted mean of true (n,), 0..1 or any numbers."""
    return ratio(weights @ np.asarray(true, dtype=float), weights.sum(axis=-1))


def recall(called: Ints, targets: Ints, place: int, weights: Floats) -> Floats:
    """The share of the films of class `place` that are called so."""
    return share(called == place, weights * (targets == place))


def balanced_accuracy(called: Ints, targets: Ints, classes: int, weights: Floats) -> Floats:
    """The mean of the recalls of the classes that have films."""
    there = [place for place in range(classes) if np.any(targets == place)]
    return np.asarray(np.mean([recall(called, targets, place, weights) for place in there], axis=0))


def confusion(called: Ints, targets: Ints, classes: int) -> Ints:
    """How many films of each class (rows) are called what (columns)."""
    counted = np.bincount(targets * classes + called, minlength=classes * classes)
    return np.asarray(counted.reshape(classes, classes))


def roc_area(targets: NDArray[np.generic], scores: Floats, weights: Floats) -> Floats:
    """The area under the ROC curve of targets (n,), 0 or 1: the share of pairs in the right order, ties half."""
    positive, negative = _by_score(targets, scores, weights)
    ordered = (positive * (np.cumsum(negative, axis=-1) - negative / 2)).sum(axis=-1)
    return ratio(ordered, positive.sum(axis=-1) * negative.sum(axis=-1))


def average_precision(targets: NDArray[np.generic], scores: Floats, weights: Floats) -> Floats:
    """The area under the precision-recall curve as a sum of steps, without interpolation."""
    positive, negative = (each[..., ::-1] for each in _by_score(targets, scores, weights))
    found, false = np.cumsum(positive, axis=-1), np.cumsum(negative, axis=-1)
    precision = np.nan_to_num(ratio(found, found + false))
    return ratio((positive * precision).sum(axis=-1), found[..., -1])


def brier(targets: Ints, probabilities: Floats, weights: Floats) -> Floats:
    """The Brier score of probabilities (n, classes): 0..1 for two classes, the sum over classes (0..2) for more."""
    wrong = ((probabilities - np.eye(probabilities.shape[1])[targets]) ** 2).sum(axis=1)
    return share(wrong / 2 if probabilities.shape[1] == 2 else wrong, weights)


def confidence(targets: Ints, probabilities: Floats) -> tuple[NDArray[np.float64], Floats]:
    """(what came true (n,), how sure the model was (n,)), from which calibration is judged.

    Of two classes the second's probability; of more the probability of the likeliest.
    """
    if probabilities.shape[1] == 2:
        return (targets == 1).astype(float), probabilities[:, 1]
    return (probabilities.argmax(axis=1) == targets).astype(float), probabilities.max(axis=1)


def calibration_error(targets: Floats, probabilities: Floats, weights: Floats) -> Floats:
    """The expected calibration error: mean distance of probability and frequency in ten bins (arXiv 1706.04599)."""
    gaps = (weights * (probabilities - targets)) @ _in_bins(probabilities)
    return ratio(np.abs(gaps).sum(axis=-1), weights.sum(axis=-1))


def expected_error(probabilities: Floats, seed: int, draws: int = 200) -> float:
    """The calibration error that perfectly calibrated probabilities (n,) would show, by drawing what comes true."""
    random = np.random.default_rng(seed)
    drawn = (random.random((draws, len(probabilities))) < probabilities).astype(float)
    gaps = (probabilities - drawn) @ _in_bins(probabilities)
    return float(np.abs(gaps).sum(axis=1).mean() / len(probabilities))


def reliability(targets: Floats, probabilities: Floats) -> list[dict[str, float]]:
    """For each of the ten bins that has films: how many, their mean probability, how often it came true."""
    bins = _in_bins(probabilities)
    counts = bins.sum(axis=0)
    return [
        {"films": int(count), "probability": float(probability / count), "frequency": float(true / count)}
        for count, probability, true in zip(counts, probabilities @ bins, targets @ bins, strict=True)
        if count
    ]


def _in_bins(probabilities: Floats) -> Floats:
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    return np.asarray(np.eye(BINS)[bins])


def _by_score(targets: NDArray[np.generic], scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The weights of positives and of negatives (..., u) at each different score, in ascending order."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    true = np.asarray(targets, dtype=float)[order]
    sorted_weights = weights[..., order]
    positive = np.add.reduceat(sorted_weights * true, starts, axis=-1)
    negative = np.add.reduceat(sorted_weights * (1 - true), starts, axis=-1)
    return positive, negative


def ratio(values: Floats, totals: Floats) -> Floats:
    """values / totals (...), NaN where the total is nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.asarray(np.where(totals > 0, values / totals, np.nan))
    return found
