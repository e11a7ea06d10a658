"""The test splits, read once: what the model scores per source, on sources it never saw, and what shortcuts score."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_node.domain.finding import Cutoffs
from cxr_node.inference.calibration import Calibration, shift
from training.bootstrap import patients_of
from training.calibrate import calibrated
from training.data import Film, trainable
from training.evaluate import positive_share, score
from training.fit import logits_of
from training.metrics import calibration_error
from training.priming import film_batches
from training.run import Run
from training.shortcut import thumbnail_auc, view_auc

Floats = NDArray[np.float64]

LATERAL = "LATERAL"
FEWEST = 5
"""Groups with fewer films of a label are left out: an interval over them says nothing."""


def evaluate(run: Run, films: Sequence[Film]) -> dict[str, Any]:
    """Everything that the model card reports, ready for JSON."""
    recipe, network = run.recipe(), run.network()
    calibration, points = run.calibration()
    test = trainable(films, recipe.data.shares, "test")
    logits = logits_of(network, film_batches(test, recipe))
    unseen = [film for film in films if film.source not in recipe.data.shares and film.view != LATERAL]
    return {
        "test": {
            name: _finding(members, logits[chosen], calibration, points)
            for name, chosen, members in _groups(test)
            if {film.pneumonia for film in members} == {0.0, 1.0}
        },
        "kind": _kind(test, logits, calibration),
        "unseen": _unseen(unseen, logits_of(network, film_batches(unseen, recipe)), calibration, points)
        if unseen
        else {},
        "shortcuts": _shortcuts(films, recipe.data.shares),
    }


def _groups(films: Sequence[Film]) -> list[tuple[str, list[int], list[Film]]]:
    """Each source, and each view of a source that has several, with the places of its films."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, film in enumerate(films):
        members[film.source].append(index)
        members[f"{film.source}, {film.view}"].append(index)
    sources = {film.source: {each.view for each in films if each.source == film.source} for film in films}
    return [
        (name, chosen, [films[index] for index in chosen])
        for name, chosen in sorted(members.items())
        if name in sources or len(sources[name.split(", ")[0]]) > 1
    ]


def _finding(films: Sequence[Film], logits: Floats, calibration: Calibration, points: Cutoffs) -> dict[str, Any]:
    """Pneumonia against normal, with the probabilities at the group's own prevalence, as a site would state its."""
    targets = np.array([film.pneumonia for film in films])
    prevalence = float(targets.mean())
    at_half = calibrated(logits[:, 0], calibration.finding_scale, calibration.finding_bias)
    probabilities = np.array([shift(float(each), calibration.prevalence, prevalence) for each in at_half])
    threshold = shift(points.threshold, calibration.prevalence, prevalence)
    scores = score(targets, probabilities, patients_of(films), threshold)
    raw = calibrated(logits[:, 0], 1.0, 0.0)
    return {**asdict(scores), "ece_before": float(calibration_error(targets, raw, np.ones_like(raw)))}


def _kind(films: Sequence[Film], logits: Floats, calibration: Calibration) -> dict[str, Any]:
    """Bacterial against viral among the films with pneumonia whose kind is known."""
    known = [index for index, film in enumerate(films) if not np.isnan(film.bacterial)]
    targets = np.array([films[index].bacterial for index in known])
    probabilities = calibrated(logits[known, 1], calibration.kind_scale, calibration.kind_bias)
    raw = calibrated(logits[known, 1], 1.0, 0.0)
    scores = score(targets, probabilities, patients_of([films[index] for index in known]), 0.5)
    return {**asdict(scores), "ece_before": float(calibration_error(targets, raw, np.ones_like(raw)))}


def _unseen(films: Sequence[Film], logits: Floats, calibration: Calibration, points: Cutoffs) -> dict[str, Any]:
    """How many films of each label are called positive in sources that gave no training film."""
    probabilities = calibrated(logits[:, 0], calibration.finding_scale, calibration.finding_bias)
    cells: dict[str, list[int]] = defaultdict(list)
    for index, film in enumerate(films):
        cells[f"{film.source}, {film.label}"].append(index)
    return {
        name: {
            "films": len(chosen),
            "positive": asdict(
                positive_share(probabilities[chosen], patients_of([films[index] for index in chosen]), points.threshold)
            ),
        }
        for name, chosen in sorted(cells.items())
        if len(chosen) >= FEWEST
    }


def _shortcuts(films: Sequence[Film], sources: Sequence[str] | dict[str, float]) -> dict[str, Any]:
    found = {}
    for source in sources:
        train, test = trainable(films, [source], "train"), trainable(films, [source], "test")
        found[source] = {"thumbnail_auc": thumbnail_auc(train, test), "view_auc": view_auc(train, test)}
    return found
