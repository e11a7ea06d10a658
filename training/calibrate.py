"""Calibration and operating points, from validation films alone.

Every film is weighted so that each source, and each label within a source, counts the same: the calibration then holds
at a prevalence of one half, from which the node shifts it to a site's.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cxr_node.domain.finding import Cutoffs
from cxr_node.inference.calibration import Calibration
from training.data import Film

Floats = NDArray[np.float64]

PREVALENCE = 0.5
SENSITIVITY = 0.92
"""The threshold is the highest at which so many of the films with the finding are positive."""
SPECIFICITY = 0.95
"""The tier `high` begins at the lowest point at which so many of the films without the finding lie below."""
UNREGULARISED = 1e6


def balanced(films: Sequence[Film]) -> Floats:
    """A weight for each film, so that sources count the same and labels within a source do; they sum to one."""
    cells = Counter((film.source, film.pneumonia) for film in films)
    weights = np.array([1 / cells[film.source, film.pneumonia] for film in films])
    return np.asarray(weights / weights.sum())


def scale_and_bias(logits: Floats, targets: Floats, weights: Floats) -> tuple[float, float]:
    """The scale and bias with which logits (n,) are log-odds of targets (n,), 0 or 1, by maximum likelihood."""
    model = LogisticRegression(C=UNREGULARISED, tol=1e-8, max_iter=1000)
    model.fit(logits[:, None], targets, sample_weight=weights * len(weights))
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def calibrate(films: Sequence[Film], logits: Floats) -> Calibration:
    """Scale and bias of both logits (n, 2) on validation films; of the second where the kind is known."""
    finding = np.array([film.pneumonia for film in films])
    kind = np.array([film.bacterial for film in films])
    known = ~np.isnan(kind)
    even = np.full(int(known.sum()), 1 / known.sum())
    return Calibration(
        *scale_and_bias(logits[:, 0], finding, balanced(films)),
        *scale_and_bias(logits[known, 1], kind[known], even),
        prevalence=PREVALENCE,
    )


def operating_points(films: Sequence[Film], probabilities: Floats) -> Cutoffs:
    """The model's own threshold and tiers, from calibrated probabilities (n,) of validation films."""
    finding = np.array([film.pneumonia for film in films])
    weights = balanced(films)
    positive, negative = finding == 1, finding == 0
    threshold = _weighted_quantile(probabilities[positive], weights[positive], 1 - SENSITIVITY)
    high = _weighted_quantile(probabilities[negative], weights[negative], SPECIFICITY)
    return Cutoffs(threshold=threshold, medium=threshold, high=max(high, threshold))


def _weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    """The smallest value with at least `share` of the weight at or below it."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, share)])
