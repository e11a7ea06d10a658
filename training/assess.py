"""Everything that is reported of a reading: figures with intervals, operating points, calibration, subgroups."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from cxr_node.errors import ConfigError
from training import metrics
from training.bootstrap import SEED, Estimate, Resamples, patients_of, resampled_by, resamples
from training.data import Film
from training.metrics import Floats, Ints
from training.operating import curve, threshold_at
from training.reading import Reading
from training.scaling import Scaling, fit_scaling, unscaled

FEWEST = 5
"""Subgroups with fewer films are left out: an interval over them says nothing."""
SENSITIVITY = 0.95
"""At which an operating point is reported where the recipe names none."""
MAJORITY = 0.98
"""A model that calls so many films the same has learned nothing but what is most common."""
SUBGROUPS: Mapping[str, Callable[[Film], str]] = {
    "source": lambda film: film.source,
    "view": lambda film: film.view,
    "age": lambda film: film.age,
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is settled on validation films before a test film is read: calibration, and thresholds of each class.

    `thresholds` maps a class to the wanted sensitivities and the calibrated probabilities that reach them.
    """

    scaling: Scaling
    thresholds: Mapping[str, Mapping[float, float]]


def choose(validation: Reading, sensitivities: Sequence[float]) -> Chosen:
    """Calibration, unless the reading brings one, and operating points, from validation films.

    Raises:
        ConfigError: the validation films lack a class.
    """
    names = validation.question.classes
    scaling = validation.scaling or fit_scaling(validation.logits, validation.targets, names)
    probabilities = scaling.probabilities(validation.logits)
    return Chosen(
        scaling,
        {
            names[place]: {
                wanted: threshold_at(probabilities[validation.targets == place, place], wanted)
                for wanted in sensitivities or (SENSITIVITY,)
            }
            for place in _judged(names)
        },
    )


def assess(reading: Reading, chosen: Chosen | None, prevalence: float | None = None) -> dict[str, Any]:
    """Every figure of a reading; those that need validation films only where something was `chosen`.

    `prevalence` (0..1) is that at which predictive values are given; None: that of the films read.
    """
    names, targets = reading.question.classes, reading.targets
    drawn = resamples(patients_of(reading.films))
    counts = np.bincount(targets, minlength=len(names))
    shares = counts / len(targets)
    raw = unscaled(len(names)).probabilities(reading.logits)
    found: dict[str, Any] = {
        "classes": list(names),
        "films": len(targets),
        "patients": drawn.patients,
        "resampled": resampled_by(reading.films),
        "counts": dict(zip(names, counts.tolist(), strict=True)),
        "accuracy": drawn.estimate(lambda w: metrics.share(reading.called == targets, w)),
        "balanced_accuracy": drawn.estimate(
            lambda w: metrics.balanced_accuracy(reading.called, targets, len(names), w)
        ),
        "confusion": metrics.confusion(reading.called, targets, len(names)).tolist(),
        "majority": _majority(reading, counts),
        "by_class": {},
        "before": _calibration(raw, reading, drawn),
        "subgroups": subgroups(reading, chosen),
    }
    after = None
    if chosen:
        after = chosen.scaling.probabilities(reading.logits)
        shifted = chosen.scaling.probabilities(reading.logits, shares)
        found["after"] = {**_calibration(shifted, reading, drawn), "scaling": asdict(chosen.scaling)}
    for place in _judged(names):
        found["by_class"][names[place]] = _of_class(place, reading, drawn, raw if after is None else after)
        if chosen and after is not None:
            at = shares[place] if prevalence is None else prevalence
            found["by_class"][names[place]]["points"] = [
                _point(reading, drawn, place, after[:, place] >= threshold, float(at))
                | {"wanted": wanted, "threshold": threshold}
                for wanted, threshold in chosen.thresholds[names[place]].items()
            ]
    return found


def subgroups(reading: Reading, chosen: Chosen | None) -> dict[str, dict[str, Any]]:
    """Accuracy, recalls and areas of each source, view and age group; none where all films are of one."""
    found = {}
    for kind, key in SUBGROUPS.items():
        members: dict[str, list[int]] = {}
        for place, film in enumerate(reading.films):
            members.setdefault(key(film), []).append(place)
        if len(members) > 1 or kind == "source":
            found[kind] = {
                name: brief(reading.only(places), chosen)
                for name, places in sorted(members.items())
                if len(places) >= FEWEST
            }
    return found


def brief(reading: Reading, chosen: Chosen | None) -> dict[str, Any]:
    """The short form of a group of films: counts, accuracy, recall and area of each class that it has."""
    names, targets = reading.question.classes, reading.targets
    drawn = resamples(patients_of(reading.films))
    probabilities = (chosen.scaling if chosen else unscaled(len(names))).probabilities(reading.logits)
    by_class = {}
    for place, name in enumerate(names):
        here = targets == place
        if here.any():
            by_class[name] = {"films": int(here.sum()), "recall": _recall(reading, place, drawn)}
        if here.any() and not here.all() and place in _judged(names):
            by_class[name]["roc_auc"] = drawn.estimate(partial(metrics.roc_area, here, probabilities[:, place]))
    return {
        "films": len(targets),
        "patients": drawn.patients,
        "resampled": resampled_by(reading.films),
        "accuracy": drawn.estimate(lambda w: metrics.share(reading.called == targets, w)),
        "by_class": by_class,
    }


def plain(found: Any) -> Any:
    """The same, ready for JSON: estimates as objects, NaN as null."""
    if isinstance(found, Estimate):
        return plain(asdict(found))
    if isinstance(found, Mapping):
        return {str(key): plain(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [plain(value) for value in found]
    return None if isinstance(found, float) and math.isnan(found) else found


def _judged(names: Sequence[str]) -> range:
    """The places of the classes that are told from the rest: of two only the second."""
    return range(1, 2) if len(names) == 2 else range(len(names))


def _majority(reading: Reading, counts: Ints) -> dict[str, Any]:
    """What calling every film the commonest class would give, and a note where the model does little else."""
    names = reading.question.classes
    called = np.bincount(reading.called, minlength=len(names)) / len(reading.films)
    most = int(called.argmax())
    note = ""
    if called[most] >= MAJORITY:
        note = f"{100 * called[most]:.0f} % of the films are called {names[most]}: only one class was learned."
    return {
        "class": names[int(np.argmax(counts))],
        "accuracy": float(counts.max() / counts.sum()),
        "called": dict(zip(names, map(float, called), strict=True)),
        "note": note,
    }


def _calibration(probabilities: Floats, reading: Reading, drawn: Resamples) -> dict[str, Any]:
    targets = reading.targets
    true, sure = metrics.confidence(targets, probabilities)
    return {
        "brier": drawn.estimate(lambda w: metrics.brier(targets, probabilities, w)),
        "ece": drawn.estimate(lambda w: metrics.calibration_error(true, sure, w)),
        "ece_expected": metrics.expected_error(sure, SEED),
        "reliability": metrics.reliability(true, sure),
    }


def _of_class(place: int, reading: Reading, drawn: Resamples, probabilities: Floats) -> dict[str, Any]:
    """One class against the rest."""
    here, scores = reading.targets == place, probabilities[:, place]
    return {
        "films": int(here.sum()),
        "recall": _recall(reading, place, drawn),
        "roc_auc": drawn.estimate(lambda w: metrics.roc_area(here, scores, w)),
        "pr_auc": drawn.estimate(lambda w: metrics.average_precision(here, scores, w)),
        "curve": curve(here, scores),
    }


def _recall(reading: Reading, place: int, drawn: Resamples) -> Estimate:
    return drawn.estimate(lambda w: metrics.recall(reading.called, reading.targets, place, w))


def _point(reading: Reading, drawn: Resamples, place: int, positive: metrics.Truths, at: float) -> dict[str, Any]:
    """Sensitivity, specificity, and what a call is worth at a prevalence (Bayes' theorem)."""
    here = reading.targets == place

    def sensitivity(weights: Floats) -> Floats:
        return metrics.share(positive, weights * here)

    def specificity(weights: Floats) -> Floats:
        return metrics.share(~positive, weights * ~here)

    def positive_value(weights: Floats) -> Floats:
        true, false = at * sensitivity(weights), (1 - at) * (1 - specificity(weights))
        return metrics.ratio(true, true + false)

    def negative_value(weights: Floats) -> Floats:
        true, false = (1 - at) * specificity(weights), at * (1 - sensitivity(weights))
        return metrics.ratio(true, true + false)

    return {
        "prevalence": at,
        "sensitivity": drawn.estimate(sensitivity),
        "specificity": drawn.estimate(specificity),
        "ppv": drawn.estimate(positive_value),
        "npv": drawn.estimate(negative_value),
    }


def validation_of(readings: Sequence[Reading], sensitivities: Sequence[float]) -> dict[str, Chosen | str]:
    """For each question what was chosen on validation films, or why nothing could be."""
    found: dict[str, Chosen | str] = {}
    for reading in readings:
        try:
            found[reading.question.name] = choose(reading, sensitivities)
        except ConfigError as error:
            found[reading.question.name] = error.message
    return found
