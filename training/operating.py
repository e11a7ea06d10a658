"""Curves and thresholds of one class against the rest, by scores."""

import math

import numpy as np

from training.metrics import Floats, Truths

POINTS = 200
"""A curve is kept with so many points at most, of which the ends are two."""


def threshold_at(positives: Floats, sensitivity: float) -> float:
    """The highest threshold that at least this share of the positives' scores (n,) reaches."""
    descending = np.sort(positives)[::-1]
    return float(descending[max(0, math.ceil(sensitivity * len(positives) - 1e-9) - 1)])


def curve(targets: Truths, scores: Floats) -> dict[str, list[float]]:
    """Sensitivity, specificity and precision of calling positive at each score and above, from none to all."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    found, false = np.cumsum(targets[order])[last], np.cumsum(~targets[order])[last]
    kept = np.unique(np.linspace(0, len(last) - 1, POINTS).astype(int))
    found, false = found[kept], false[kept]
    return {
        "sensitivity": [0.0, *(found / max(1, targets.sum())).tolist()],
        "specificity": [1.0, *(1 - false / max(1, (~targets).sum())).tolist()],
        "precision": [1.0, *(found / (found + false)).tolist()],
    }
