"""From logits to probabilities that mean what they say, at the training films' prevalence or at the site's.

Temperature and bias per logit (Platt scaling; vector scaling under a softmax; Guo et al., ICML 2017, arXiv 1706.04599),
then a shift of the log-odds for another prevalence (Saerens et al., Neural Computation 14:21, 2002). Free of torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CERTAIN = 1e-9
"""Probabilities are kept this far from 0 and 1, so that their log-odds stay finite."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibrated log-odds are `scale * logit + bias`, for the finding and for its kind given the finding.

    `prevalence` (0..1) is the share of positive films at which the finding's probability is right as it stands.
    """

    finding_scale: float
    finding_bias: float
    kind_scale: float
    kind_bias: float
    prevalence: float


@dataclass(frozen=True, slots=True)
class ClassCalibration:
    """The calibrated logit of each class is `scale * logit + bias`, before the softmax; equal scales are a temperature.

    `prevalence` (0..1) is the share of films with the finding at which the probabilities are right as they stand.
    """

    scales: tuple[float, ...]
    biases: tuple[float, ...]
    prevalence: float

    def __post_init__(self) -> None:
        if len(self.scales) != len(self.biases):
            raise ValueError(f"{len(self.scales)} scales and {len(self.biases)} biases")
        if not all(scale > 0 for scale in self.scales) or not 0 < self.prevalence < 1:
            raise ValueError("scales are above 0, and a prevalence lies between 0 and 1")

    def logits(self, logits: Sequence[float]) -> list[float]:
        """The calibrated logits (classes,)."""
        return [scale * each + bias for scale, each, bias in zip(self.scales, logits, self.biases, strict=True)]


def softmax(logits: Sequence[float]) -> list[float]:
    """Probabilities that sum to one, without overflow."""
    largest = max(logits)
    powers = [math.exp(each - largest) for each in logits]
    return [power / sum(powers) for power in powers]


def sigmoid(log_odds: float) -> float:
    """The probability of log-odds, without overflow."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    return math.exp(log_odds) / (1 + math.exp(log_odds))


def logit(probability: float) -> float:
    """The log-odds of a probability, kept finite."""
    kept = min(max(probability, CERTAIN), 1 - CERTAIN)
    return math.log(kept / (1 - kept))


def shift(probability: float, trained: float, site: float | None) -> float:
    """A probability at the prevalence `trained`, as it is at the prevalence `site`; unchanged where that is None."""
    if site is None or site == trained:
        return probability
    return sigmoid(logit(probability) + logit(site) - logit(trained))


def probabilities(
    logits: Sequence[float], calibration: Calibration, prevalence: float | None = None
) -> tuple[float, float]:
    """(P(finding), P(first kind | finding)) from the two logits; `prevalence` is the site's where it states one."""
    finding = sigmoid(calibration.finding_scale * logits[0] + calibration.finding_bias)
    kind = sigmoid(calibration.kind_scale * logits[1] + calibration.kind_bias)
    return shift(finding, calibration.prevalence, prevalence), kind


def class_probabilities(classes: Sequence[str], finding: float, kind: float) -> dict[str, float]:
    """Each class's probability, summing to one: `classes` are without the finding, its first and its second kind."""
    values = (1 - finding, finding * kind, finding * (1 - kind))
    return dict(zip(classes, values, strict=True))
