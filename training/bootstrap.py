"""Intervals by resampling patients: the films of one are alike, and counting them as so many would flatter.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993: percentile intervals.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.data import UNKNOWN_PATIENT, Film
from training.metrics import Floats

RESAMPLES = 2000
INTERVAL = (2.5, 97.5)
SEED = 7

Metric = Callable[[Floats], Floats]
"""Values (r,) for weights (r, n) of the films."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval; NaN where there was nothing to measure."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Resamples:
    """How often each film (n) counts in each of 2,000 resamples of the patients, (2000, n), after a row of ones."""

    weights: Floats
    patients: int

    def estimate(self, metric: Metric) -> Estimate:
        """The metric on all films, and the middle 95 % of it over the resamples."""
        values = metric(self.weights)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # all NaN: one class only, and NaN is the answer
            low, high = np.nanpercentile(values[1:], INTERVAL)
        return Estimate(float(values[0]), float(low), float(high))

    def among(self, chosen: Sequence[int]) -> "Resamples":
        """The same resamples for some of the films."""
        return Resamples(self.weights[:, chosen], self.patients)


def resamples(patients: Sequence[str]) -> Resamples:
    """Resamples of films whose patients are these, the same for the same patients."""
    groups = np.unique(np.asarray(patients), return_inverse=True)[1]
    count = int(groups.max()) + 1
    random = np.random.default_rng(SEED)
    weights = np.ones((RESAMPLES + 1, len(groups)))
    for row in weights[1:]:
        row[:] = np.bincount(random.integers(0, count, count), minlength=count)[groups]
    return Resamples(weights, count)


def patients_of(films: Sequence[Film]) -> list[str]:
    """What to resample: the patient, or the film where the source names none."""
    return [str(film.path) if film.patient == UNKNOWN_PATIENT else film.patient for film in films]


def resampled_by(films: Sequence[Film]) -> str:
    """In words, what the intervals of these films resample."""
    unknown = sum(film.patient == UNKNOWN_PATIENT for film in films)
    if not unknown:
        return "patients"
    if unknown == len(films):
        return "films, as no patient is known: the intervals may be too narrow"
    return f"patients, and {unknown} films by themselves whose patients are not known: the intervals may be too narrow"
