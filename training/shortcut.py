"""What a model could score without looking at lungs: the yardstick beside every result.

A 32 x 32 thumbnail in which no opacity can be read, and where the manifest says it the view alone (the sick are filmed
in bed, AP), tell normal from pneumonia far better than chance.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from training.data import Film
from training.metrics import roc_area
from training.pictures import prepared_film
from training.preparation import PrepareRecipe

SIDE = 32
REGULARISATION = 1e-3


def thumbnail_auc(train: Sequence[Film], test: Sequence[Film]) -> float:
    """The area under the ROC curve of a logistic regression on 32 x 32 pixels."""
    model = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=2000)
    model.fit(_thumbnails(train), [film.pneumonia for film in train])
    return _area(test, model.decision_function(_thumbnails(test)))


def view_auc(train: Sequence[Film], test: Sequence[Film]) -> float | None:
    """The area under the ROC curve of the share of pneumonia that each view has in training; None with one view."""
    views = {film.view for film in train}
    if len(views) < 2:
        return None
    share = {view: np.mean([film.pneumonia for film in train if film.view == view]) for view in views}
    return _area(test, np.array([share.get(film.view, 0.5) for film in test]))


def _area(films: Sequence[Film], scores: NDArray[np.float64]) -> float:
    return float(roc_area(np.array([film.pneumonia for film in films]), scores, np.ones(len(films))))


def _thumbnails(films: Sequence[Film]) -> NDArray[np.float32]:
    prepared = [prepared_film(film, SIDE, PrepareRecipe()) for film in films]
    equalised = [cv2.equalizeHist(np.rint(film * 255).astype(np.uint8)) for film in prepared]
    return np.stack(equalised).reshape(len(films), -1).astype(np.float32) / np.float32(255)
