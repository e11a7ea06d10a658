"""Figures with intervals: each source by itself, since a figure over a mix of hospitals says which hospital it was."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.bootstrap import SEED, Estimate, resamples
from training.metrics import Floats, calibration_error, expected_error, roc_area, share


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
    drawn = resamples(patients)
    positive = probabilities >= threshold
    return Scores(
        films=len(targets),
        patients=drawn.patients,
        positives=int(targets.sum()),
        auc=drawn.estimate(lambda w: roc_area(targets, probabilities, w)),
        accuracy=drawn.estimate(lambda w: share(positive == (targets == 1), w)),
        sensitivity=drawn.estimate(lambda w: share(positive, w * targets)),
        specificity=drawn.estimate(lambda w: share(~positive, w * (1 - targets))),
        brier=drawn.estimate(lambda w: share((probabilities - targets) ** 2, w)),
        ece=drawn.estimate(lambda w: calibration_error(targets, probabilities, w)),
        ece_expected=expected_error(probabilities, SEED),
    )


def positive_share(probabilities: Floats, patients: Sequence[str], threshold: float) -> Estimate:
    """The share of films called positive, for groups that hold one label only."""
    return resamples(patients).estimate(lambda w: share(probabilities >= threshold, w))
