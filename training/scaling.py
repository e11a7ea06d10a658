"""Calibration of any number of classes: one scale and a bias for each class, from validation films alone.

Temperature scaling (Guo et al., ICML 2017, arXiv 1706.04599) with biases (Alexandari et al., ICML 2020, arXiv
1901.06852); for two classes it is Platt's. Each class weighs the same in the fit, so that the probabilities hold where
all classes are equally common, and are shifted from there to stated shares (Saerens et al., Neural Computation 14:21).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from cxr_node.errors import ConfigError
from training.metrics import Floats, Ints

SCALES = (1e-2, 1e2)
BIASES = (-50.0, 50.0)
"""Where validation films are told apart without a mistake the likeliest scale is infinite; it ends here."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Calibrated log-odds are `scale * logit + bias` of each class, where all classes are equally common."""

    scales: tuple[float, ...]
    biases: tuple[float, ...]

    def probabilities(self, logits: Floats, shares: Sequence[float] | Floats | None = None) -> Floats:
        """Probabilities (n, classes) of logits (n, classes) where the classes have these shares; even where None."""
        log_odds = np.array(self.scales) * logits + np.array(self.biases)
        if shares is not None:
            with np.errstate(divide="ignore"):  # a class that does not occur has no probability
                log_odds = log_odds + np.log(np.asarray(shares) * len(self.biases))
        return np.asarray(softmax(log_odds, axis=1))


def unscaled(classes: int) -> Scaling:
    """The logits as they stand."""
    return Scaling((1.0,) * classes, (0.0,) * classes)


def fit_scaling(logits: Floats, targets: Ints, names: Sequence[str]) -> Scaling:
    """The likeliest scale and biases for logits (n, classes) of films whose classes are targets (n,).

    Raises:
        ConfigError: a class of `names` has no film: with what it shows nothing can be calibrated.
    """
    counts = np.bincount(targets, minlength=len(names))
    if missing := [name for name, count in zip(names, counts, strict=True) if not count]:
        raise ConfigError(f"The validation films show no {missing[0]!r}, so that nothing can be calibrated on them.")
    return Scaling(*likeliest(logits, targets, 1 / counts[targets]))


def likeliest(logits: Floats, targets: Ints, weights: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(scales, biases) by maximum likelihood under weights (n,): one scale for all classes, the first bias zero."""
    true, even = np.eye(logits.shape[1])[targets], weights / weights.sum()

    def loss(parameters: Floats) -> tuple[float, Floats]:
        log_odds = parameters[0] * logits + np.r_[0.0, parameters[1:]]
        wrong = even[:, None] * (softmax(log_odds, axis=1) - true)
        slope = np.r_[(wrong * logits).sum(), wrong.sum(axis=0)[1:]]
        return float(-(even[:, None] * true * log_softmax(log_odds, axis=1)).sum()), slope

    others = logits.shape[1] - 1
    start, bounds = np.r_[1.0, np.zeros(others)], [SCALES, *[BIASES] * others]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1000, "ftol": 1e-12})
    return (float(found.x[0]),) * logits.shape[1], (0.0, *map(float, found.x[1:]))
