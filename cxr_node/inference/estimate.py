"""What a site's own films say of a model's outputs: their calibration from labels, or their prevalence without.

Both take log-odds as the released model gives them, one for each study. Intervals are 95 %, from resampling studies.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_node.domain.finding import Cutoffs
from cxr_node.errors import Permanent

Floats = NDArray[np.float64]
Interval = tuple[float, float]

FEWEST_UNLABELLED = 200
FEWEST_LABELLED = 100
FEWEST_OF_A_LABEL = 30
SPECIFICITY = 0.95
"""The tier `high` begins where so many of the studies without the finding lie below."""
_RESAMPLES = 1000
_PERCENT = (2.5, 97.5)
_SEED = 7


@dataclass(frozen=True, slots=True)
class Refit:
    """At the site the log-odds are `scale * log-odds + bias`; `prevalence` is the share of positive labels.

    `points`: the site's own operating points, as probabilities on that scale.
    """

    scale: float
    bias: float
    scale_interval: Interval
    bias_interval: Interval
    prevalence: float
    points: Cutoffs


def refit(log_odds: Floats, labels: NDArray[np.bool_], sensitivity: float) -> Refit:
    """Scale and bias by maximum likelihood with Platt's targets (Advances in Large Margin Classifiers, 1999).

    The threshold is the highest at which the share `sensitivity` of the positive studies is found.

    Raises:
        Permanent: TOO_FEW_FILMS: the sentence says how many there are and how many it takes; CALIBRATION: the outputs
            do not rise with the labels.
    """
    positive = int(labels.sum())
    negative = len(labels) - positive
    if len(labels) < FEWEST_LABELLED or min(positive, negative) < FEWEST_OF_A_LABEL:
        raise Permanent(
            "TOO_FEW_FILMS",
            f"{len(labels)} labelled studies, {positive} of them positive; it takes {FEWEST_LABELLED} or more, and "
            f"{FEWEST_OF_A_LABEL} or more of each label",
        )
    weights = _resampled(len(labels))
    scales, biases = _logistic(log_odds, labels, np.vstack([np.ones(len(labels)), weights]))
    low, high = _interval(scales[1:])
    if low <= 0:
        raise Permanent(
            "CALIBRATION",
            f"the model's outputs do not tell the positive studies from the others here (scale {scales[0]:.3f}, 95 % "
            f"{low:.3f} to {high:.3f}): are the labels turned round, or of other studies?",
        )
    probabilities = _sigmoid(scales[0] * log_odds + biases[0])
    threshold = float(np.quantile(probabilities[labels], 1 - sensitivity, method="lower"))
    urgent = float(np.quantile(probabilities[~labels], SPECIFICITY, method="higher"))
    return Refit(
        float(scales[0]), float(biases[0]), (low, high), _interval(biases[1:]), positive / len(labels),
        Cutoffs(threshold=threshold, medium=threshold, high=max(urgent, threshold)),
    )  # fmt: skip


def prevalence(log_odds: Floats, trained: float) -> tuple[float, Interval]:
    """The share of studies with the finding, and its interval, by expectation maximisation.

    Saerens, Latinne and Decaestecker, Neural Computation 14:21, 2002: the share at which the mean of the probabilities,
    shifted to it from the prevalence `trained`, is that share. It takes the films with and without the finding to look
    as they did in training; where films of another machine look iller, it finds more ill.

    Raises:
        Permanent: TOO_FEW_FILMS, as `refit`; CALIBRATION: the films do not tell, every one of them is taken for ill, or
            none.
    """
    if len(log_odds) < FEWEST_UNLABELLED:
        raise Permanent(
            "TOO_FEW_FILMS", f"{len(log_odds)} studies without a label; it takes {FEWEST_UNLABELLED} or more"
        )
    ratios = np.exp(np.clip(log_odds - np.log(trained / (1 - trained)), -50, 50))
    weights = np.vstack([np.ones(len(ratios)), _resampled(len(ratios))])
    weights /= weights.sum(axis=1, keepdims=True)
    share = np.full(len(weights), trained)
    for _ in range(5000):
        ill = share[:, None] * ratios
        before, share = share, (weights * (ill / (ill + 1 - share[:, None]))).sum(axis=1)
        if float(np.abs(share - before).max()) < 1e-7:
            break
    if not 1e-3 < share[0] < 1 - 1e-3:
        raise Permanent(
            "CALIBRATION", f"the estimate is {share[0]:.1%} of {len(log_odds)} studies: these films cannot tell it"
        )
    return float(share[0]), _interval(share[1:])


def _logistic(log_odds: Floats, labels: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Scales and biases (k,) for k weightings (k, n) of the studies.

    By Newton's method; where a step would make the fit worse, one with the curvature's upper bound is taken, which
    never does (Boehning and Lindsay, Ann. Inst. Stat. Math. 40:641, 1988).
    """
    targets, design = _platt(labels, weights), np.stack([log_odds, np.ones_like(log_odds)])
    found = np.zeros((len(weights), 2))
    bound = np.linalg.inv(0.25 * np.einsum("in,jn,kn->kij", design, design, weights) + 1e-9 * np.eye(2))
    for _ in range(200):
        fitted = _sigmoid(found @ design)
        gradient = (weights * (fitted - targets)) @ design.T
        curve = np.einsum("in,jn,kn->kij", design, design, weights * fitted * (1 - fitted))
        newton = found - np.linalg.solve(curve + 1e-9 * np.eye(2), gradient[..., None])[..., 0]
        safe = found - (bound @ gradient[..., None])[..., 0]
        better = _loss(newton @ design, targets, weights) <= _loss(found @ design, targets, weights)
        before, found = found, np.where(better[:, None], newton, safe)
        if float(np.abs(found - before).max()) < 1e-8:
            break
    return found[:, 0], found[:, 1]


def _loss(log_odds: Floats, targets: Floats, weights: Floats) -> Floats:
    return np.asarray((weights * (np.logaddexp(0, log_odds) - targets * log_odds)).sum(axis=1))


def _sigmoid(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -500, 500))))


def _platt(labels: NDArray[np.bool_], weights: Floats) -> Floats:
    """Targets (k, n) a little inside 0 and 1, so that labels which the outputs separate have a finite fit."""
    positive, negative = (weights * labels).sum(axis=1), (weights * ~labels).sum(axis=1)
    high, low = (positive + 1) / (positive + 2), 1 / (negative + 2)
    return np.asarray(np.where(labels, high[:, None], low[:, None]))


def _resampled(count: int) -> Floats:
    """How often each study comes in each resample, (resamples, count)."""
    random = np.random.default_rng(_SEED)
    return random.multinomial(count, np.full(count, 1 / count), _RESAMPLES).astype(float)


def _interval(values: Floats) -> Interval:
    low, high = np.percentile(values, _PERCENT)
    return float(low), float(high)
