"""Two subjects on the very same films: which one is better, and might it be chance?

McNemar, Psychometrika 12:153 (1947), exact by the binomial distribution; DeLong et al., Biometrics 44:837 (1988), as
Sun and Xu compute it, IEEE Signal Processing Letters 21:1389 (2014). A subject may be several runs that differ by seed.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import binomtest, norm, rankdata

from cxr_node.errors import ConfigError
from training import metrics
from training.assess import plain
from training.bootstrap import patients_of, resampled_by, resamples
from training.data import Film
from training.evaluation import judged
from training.metrics import Floats, Truths
from training.reading import Reading
from training.scaling import unscaled
from training.subject import Subject


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its readings of the films, one for each seed."""

    names: tuple[str, ...]
    readings: tuple[Reading, ...]

    @property
    def right(self) -> Floats:
        """The share of seeds that call each film (n,) rightly."""
        return np.asarray(np.mean([reading.called == reading.targets for reading in self.readings], axis=0))

    def areas(self, place: int, weights: Floats) -> Floats:
        """The area under the ROC curve of a class, the mean over seeds, for each row of weights."""
        found = [
            metrics.roc_area(reading.targets == place, scores_of(reading, place), weights) for reading in self.readings
        ]
        return np.asarray(np.mean(found, axis=0))


def sides(first: Sequence[Subject], second: Sequence[Subject], films: Sequence[Film], split: str) -> tuple[Side, Side]:
    """Both read the films of the split that all are judged on, for the first question that all answer.

    Raises:
        ConfigError: there is no such film, or no such question.
    """
    subjects = [*first, *second]
    common = set.intersection(*({film.path for film in judged(each, films, split)} for each in subjects))
    readings = [each.read([film for film in judged(each, films, split) if film.path in common]) for each in subjects]
    for question in (reading.question for reading in readings[0]):
        answers = [[each for each in found if _same(each, question.labels)] for found in readings]
        if all(answers):
            kept = _aligned([found[0] for found in answers])
            return (
                Side(tuple(each.name for each in first), tuple(kept[: len(first)])),
                Side(tuple(each.name for each in second), tuple(kept[len(first) :])),
            )
    raise ConfigError(f"{subjects[0].name} and {subjects[-1].name} do not answer the same question.")


def compare(first: Side, second: Side) -> dict[str, Any]:
    """Both sides' figures, and their differences (second less first) with 95 % intervals and tests."""
    reading = first.readings[0]
    names, films, targets = reading.question.classes, reading.films, reading.targets
    drawn = resamples(patients_of(films))
    judged_classes = {names[place]: place for place in (range(1, 2) if len(names) == 2 else range(len(names)))}
    found = {
        "films": len(films),
        "patients": drawn.patients,
        "resampled": resampled_by(films),
        "classes": list(names),
        "first": _figures(first),
        "second": _figures(second),
        "difference": {
            "accuracy": drawn.estimate(lambda w: metrics.share(second.right - first.right, w)),
            "roc_auc": {
                name: drawn.estimate(partial(_more_area, first, second, place))
                for name, place in judged_classes.items()
            },
        },
        "pairs": [
            {
                "first": first.names[one],
                "second": second.names[two],
                "mcnemar": mcnemar(a.called == targets, b.called == targets),
                "delong": {
                    name: delong(targets == place, scores_of(a, place), scores_of(b, place))
                    for name, place in judged_classes.items()
                    if 1 < np.sum(targets == place) < len(targets) - 1
                },
            }
            for (one, a), (two, b) in itertools.product(enumerate(first.readings), enumerate(second.readings))
        ],
    }
    content: dict[str, Any] = plain(found)
    return content


def mcnemar(first: Truths, second: Truths) -> dict[str, float]:
    """Films (n,) that only one of the two called rightly, and how likely so uneven a split is by chance (two-sided)."""
    one, two = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    chance = binomtest(one, one + two).pvalue if one + two else 1.0
    return {"first_only": one, "second_only": two, "p": float(chance)}


def delong(positive: Truths, first: Floats, second: Floats) -> dict[str, float]:
    """The difference of two areas under ROC curves of the same films (n,), its standard error, and p (two-sided).

    Both classes need two films or more.
    """
    parts = [_placements(positive, scores) for scores in (first, second)]
    ill, well = (np.stack([part[side] for part in parts]) for side in (0, 1))
    areas = ill.mean(axis=1)
    covariance = np.cov(ill) / ill.shape[1] + np.cov(well) / well.shape[1]
    contrast = np.array([-1.0, 1.0])
    difference = float(contrast @ areas)
    error = math.sqrt(max(0.0, float(contrast @ covariance @ contrast)))
    chance = float(2 * norm.sf(abs(difference) / error)) if error else float(difference == 0)
    return {"first": float(areas[0]), "second": float(areas[1]), "difference": difference, "error": error, "p": chance}


def scores_of(reading: Reading, place: int) -> Floats:
    """What ranks films (n,) for one class: the probability, calibrated where the subject brings that."""
    scaling = reading.scaling or unscaled(len(reading.question.classes))
    return np.asarray(scaling.probabilities(reading.logits)[:, place])


def _more_area(first: Side, second: Side, place: int, weights: Floats) -> Floats:
    return second.areas(place, weights) - first.areas(place, weights)


def _placements(positive: Truths, scores: Floats) -> tuple[Floats, Floats]:
    """For each positive the share of negatives below it, for each negative the share of positives above; ties half."""
    ill, well = scores[positive], scores[~positive]
    both = rankdata(scores)
    above = (both[positive] - rankdata(ill)) / len(well)
    below = 1 - (both[~positive] - rankdata(well)) / len(ill)
    return np.asarray(above), np.asarray(below)


def _same(reading: Reading, labels: Mapping[str, int]) -> bool:
    """Whether a reading answers a question of these labels: alike in every label that both know, of two classes."""
    own = reading.question.labels
    shared = own.keys() & labels.keys()
    alike = all(own[label] == labels[label] for label in shared)
    return alike and len({labels[label] for label in shared}) > 1 and max(own.values()) == max(labels.values())


def _aligned(readings: Sequence[Reading]) -> list[Reading]:
    """The same films in the same order in every reading."""
    shared = set.intersection(*({film.path for film in reading.films} for reading in readings))
    kept = []
    for reading in readings:
        places = {film.path: place for place, film in enumerate(reading.films) if film.path in shared}
        kept.append(reading.only([places[path] for path in sorted(places)]))
    return kept


def _figures(side: Side) -> dict[str, Any]:
    """Accuracy of each seed, their mean, and the standard deviation between seeds where there are several."""
    values = [float(np.mean(reading.called == reading.targets)) for reading in side.readings]
    drawn = resamples(patients_of(side.readings[0].films))
    return {
        "runs": list(side.names),
        "accuracy": drawn.estimate(lambda w: metrics.share(side.right, w)),
        "by_seed": values,
        "spread": float(np.std(values, ddof=1)) if len(values) > 1 else None,
    }
