"""Where the model looked: its activation map laid over the film, and the outlines of where it looked most."""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from cxr_node.documents.headers import ImageFacts
from cxr_node.domain.finding import Analysis, Cutoffs
from cxr_node.imaging.heat import Activation, Map, spread

Polygon: TypeAlias = npt.NDArray[np.float32]

MAXIMUM_POINTS = 64
_HALF = 0.5
_MINOR = 0.2
_WORKING_SIDE = 512
_WORDS_RIGHT, _WORDS_BELOW = 0.8, 0.9


def outlines(activation: Activation, rows: int, columns: int) -> list[Polygon]:
    """The parts of the film where the map has at least half of its maximum, the one with the most evidence first.

    Each has up to 64 points (column, row) in the image's coordinates of PS3.3 C.18.6 (0.0 is the outer edge of the
    first pixel), the first repeated as the last. Parts with less than a fifth of the evidence of the first are left
    out; where the map is blank, or no part has an area, there is none.
    """
    scale = min(1.0, _WORKING_SIDE / max(rows, columns))
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    surface = spread(activation, height, width)
    if surface.max() <= 0:
        return []
    mask = (surface >= surface.max() * _HALF).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    parts = sorted(((_evidence(surface, each), index) for index, each in enumerate(contours)), reverse=True)
    weighty = [contours[index] for evidence, index in parts if evidence >= _MINOR * parts[0][0]]
    stretch = np.array([columns / width, rows / height], dtype=np.float32)
    simple = [(_simplified(each) + 0.5) * stretch for each in weighty]
    return [np.concatenate([points, points[:1]]) for points in simple if len(points) >= 3]


def shown_outlines(analysis: Analysis | None, cutoffs: Cutoffs, facts: ImageFacts) -> list[Polygon]:
    """The outlines that a document shows of an image: none without a finding, or where the film has no size."""
    if analysis is None or not cutoffs.positive(analysis.probability) or not facts.rows or not facts.columns:
        return []
    return outlines(analysis.activation, facts.rows, facts.columns)


def begun_for_words(outline: Polygon, rows: int, columns: int) -> Polygon:
    """A closed outline that begins where a viewer has room to write what the outline means.

    OHIF writes to the right of the first two points, at their height. So it begins with the edge farthest right that
    leaves a fifth of the film's width on its right and a tenth of its height below it, else with that farthest left.
    """
    edges = np.stack([outline[:-1], outline[1:]])
    right, height = edges[..., 0].max(axis=0), edges[..., 1].mean(axis=0)
    roomy = (right <= columns * _WORDS_RIGHT) & (height <= rows * _WORDS_BELOW)
    first = int(np.where(roomy, right, -1).argmax()) if roomy.any() else int(right.argmin())
    points = np.roll(outline[:-1], -first, axis=0)
    return np.concatenate([points, points[:1]])


def _evidence(surface: Map, contour: npt.NDArray[np.int32]) -> float:
    """What the map adds up to inside the contour."""
    inside = np.zeros(surface.shape, dtype=np.uint8)
    cv2.drawContours(inside, [contour], 0, color=1, thickness=cv2.FILLED)
    return float(surface[inside > 0].sum())


def _simplified(contour: npt.NDArray[np.int32]) -> Polygon:
    """The contour with as few points as the coarsest acceptable tolerance needs, so that it can be closed in 64."""
    tolerance = 0.5
    while len(points := cv2.approxPolyDP(contour, tolerance, closed=True)) >= MAXIMUM_POINTS:
        tolerance *= 1.5
    return points.reshape(-1, 2).astype(np.float32)
