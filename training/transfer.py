"""What carries over from hospital to hospital: three crude looks at a film, each trained on one source, tried on all.

A cue that tells pneumonia from normal where it was learned and errs elsewhere is a shortcut, and networks find it, too:
these figures say which of a network's to distrust, and what to take from its input.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_node.imaging import Prepared
from training.bootstrap import patients_of
from training.data import Film
from training.metrics import roc_area
from training.pictures import equalised, prepared_film
from training.preparation import PrepareRecipe

Rows = NDArray[np.float32]

SIDE = 64
CELLS = 8
FEWEST = 30
"""Films of each label that a source must have."""
FOLDS = 5
REGULARISATION = 1e-4
TAIL = 1e-3
SPREAD = 2.0
"""Sigma in pixels of what counts as fine."""


def tone(film: Prepared) -> Rows:
    """The mean brightness in 8 x 8 cells of the film as it is shown."""
    return _cells(film)


def shade(film: Prepared) -> Rows:
    """The same once each grey level has become the normal quantile of its rank: exposure and contrast tell nothing."""
    return _cells(_ranked(film))


def texture(film: Prepared) -> Rows:
    """How much is finer than a few pixels in each cell, after ranking: sharpness, noise and compression."""
    ranked = _ranked(film)
    return _cells(np.abs(ranked - cv2.GaussianBlur(ranked, (0, 0), SPREAD)))


LOOKS: dict[str, Callable[[Prepared], Rows]] = {"tone": tone, "shade": shade, "texture": texture}


def carried_over(films: Sequence[Film]) -> str:
    """For each look a table of areas under the ROC curve: trained on the row's source, tried on the column's.

    Training and validation films only; on a source's own films cross-validated over patients (films where there are
    none). Sources with fewer than 30 normal or 30 pneumonia films are left out.

    Raises:
        ConfigError: a film cannot be decoded.
    """
    members: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        if film.split != "test" and not np.isnan(film.pneumonia):
            members[film.source].append(film)
    kept = {source: found for source, found in sorted(members.items()) if _enough(found)}
    if len(kept) < 2:
        return f"What carries over: fewer than two sources have {FEWEST} normal and {FEWEST} pneumonia films."
    prepared = {
        source: [prepared_film(film, SIDE, PrepareRecipe()) for film in found] for source, found in kept.items()
    }
    lines = ["What carries over: AUC of pneumonia against normal, trained on the row's source, tried on the column's,"]
    lines.append(f"by a regression that sees {CELLS} x {CELLS} cells of")
    for name, look in LOOKS.items():
        rows = {source: np.stack([look(film) for film in found]) for source, found in prepared.items()}
        lines += [f"  {name:20} " + " ".join(f"{source:>20}" for source in kept)]
        lines += [
            f"  {trained:20} " + " ".join(f"{area:20.3f}" for area in _areas(trained, kept, rows)) for trained in kept
        ]
    return "\n".join(lines)


def _enough(films: Sequence[Film]) -> bool:
    ill = sum(film.pneumonia for film in films)
    return min(ill, len(films) - ill) >= FEWEST


def _areas(trained: str, kept: dict[str, list[Film]], rows: dict[str, Rows]) -> list[float]:
    targets = {source: np.array([film.pneumonia for film in found]) for source, found in kept.items()}
    fitted = _regression().fit(rows[trained], targets[trained])
    scores = {source: fitted.decision_function(found) for source, found in rows.items()}
    scores[trained] = cross_val_predict(
        _regression(), rows[trained], targets[trained], groups=patients_of(kept[trained]),
        cv=StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0), method="decision_function",
    )  # fmt: skip
    return [float(roc_area(targets[source], scores[source], np.ones(len(found)))) for source, found in kept.items()]


def _regression() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=1000))


def _ranked(film: Prepared) -> Prepared:
    return np.asarray(ndtri(np.clip(equalised(film), TAIL, 1 - TAIL)), dtype=np.float32)


def _cells(picture: Prepared) -> Rows:
    return np.asarray(cv2.resize(picture, (CELLS, CELLS), interpolation=cv2.INTER_AREA), dtype=np.float32).ravel()
