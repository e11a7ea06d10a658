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
from cxr_node.errors import ConfigError
from cxr_node.inference.calibration import Calibration, ClassCalibration, sigmoid
from cxr_node.inference.outputs import Classes
from training.data import Film
from training.recipe import Recipe
from training.scaling import likeliest

Floats = NDArray[np.float64]

PREVALENCE = 0.5
SENSITIVITY = 0.92
"""The threshold is the highest at which so many of the films with the finding are positive."""
SPECIFICITY = 0.95
"""The tier `high` begins at the lowest point at which so many of the films without the finding lie below."""
UNREGULARISED = 1e6
AS_IT_IS = (1.0, 0.0)
"""The scale and bias of a logit that nothing is known about."""


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


def calibrated(logits: Floats, scale: float, bias: float) -> Floats:
    """Probabilities of logits (n,)."""
    return np.array([sigmoid(scale * float(logit) + bias) for logit in logits])


def calibrate(films: Sequence[Film], logits: Floats) -> Calibration:
    """Scale and bias of both logits (n, 2) on validation films; of the second where the kind of any is known."""
    finding = np.array([film.pneumonia for film in films])
    kind = np.array([film.bacterial for film in films])
    known = ~np.isnan(kind)
    of_kind = AS_IT_IS
    if known.any():
        of_kind = scale_and_bias(logits[known, 1], kind[known], np.full(int(known.sum()), 1 / known.sum()))
    return Calibration(*scale_and_bias(logits[:, 0], finding, balanced(films)), *of_kind, prevalence=PREVALENCE)


def calibrate_classes(recipe: Recipe, films: Sequence[Film], logits: Floats) -> tuple[ClassCalibration, Cutoffs]:
    """Temperature, biases and operating points of a recipe with classes of its own, on validation films.

    Every film is weighted so that each source, and each class within a source, counts the same; the prevalence is the
    share of the finding under these weights.

    Raises:
        ConfigError: the recipe does not say what is served, or the films lack a class.
    """
    if recipe.served is None:
        raise ConfigError("The recipe has no [served]: it does not say which finding the node is to take from it.")
    names = tuple(recipe.classes)
    places = {label: place for place, name in enumerate(names) for label in recipe.classes[name]}
    targets = np.array([places[film.label] for film in films])
    if missing := [name for place, name in enumerate(names) if not np.any(targets == place)]:
        raise ConfigError(f"There is no validation film of the class {missing[0]!r}, so nothing can be calibrated.")
    cells = Counter(zip((film.source for film in films), targets.tolist(), strict=True))
    weights = np.array([1 / cells[film.source, place] for film, place in zip(films, targets.tolist(), strict=True)])
    weights /= weights.sum()
    scales, biases = likeliest(logits, targets, weights)
    found = np.isin(targets, [names.index(name) for name in recipe.served.finding_classes])
    calibration = ClassCalibration(scales, biases, float(weights[found].sum()))
    outputs = Classes(names, recipe.served.finding_classes, calibration)
    probabilities = np.array([outputs.read([float(each) for each in row])[0] for row in logits])
    return calibration, points_of(found, probabilities, weights)


def operating_points(films: Sequence[Film], probabilities: Floats) -> Cutoffs:
    """The model's own threshold and tiers, from calibrated probabilities (n,) of validation films."""
    return points_of(np.array([film.pneumonia for film in films]) == 1, probabilities, balanced(films))


def points_of(found: NDArray[np.bool_], probabilities: Floats, weights: Floats) -> Cutoffs:
    """The threshold and tiers from films with the finding (`found`) and without it."""
    threshold = weighted_quantile(probabilities[found], weights[found], 1 - SENSITIVITY)
    high = weighted_quantile(probabilities[~found], weights[~found], SPECIFICITY)
    return Cutoffs(threshold=threshold, medium=threshold, high=max(high, threshold))


def weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    """The smallest of values (n,) with at least `share` of the weight at or below it."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, share)])
