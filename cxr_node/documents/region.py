"""Where the model looked: its activation map laid over the film, and the outline of the main part."""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Activation: TypeAlias = tuple[tuple[float, ...], ...]
Map: TypeAlias = npt.NDArray[np.float32]
Polygon: TypeAlias = npt.NDArray[np.float32]

MAXIMUM_POINTS = 64
_HALF = 0.5
_WORKING_SIDE = 512


def spread(activation: Activation, rows: int, columns: int) -> Map:
    """The map over the whole film, smoothly, rows x columns; 0 to 1."""
    grid = np.asarray(activation, dtype=np.float32)
    return np.clip(cv2.resize(grid, (columns, rows), interpolation=cv2.INTER_CUBIC), 0, 1)


def main_outline(activation: Activation, rows: int, columns: int) -> Polygon | None:
    """The largest part of the film where the map has at least half of its maximum.

    Returns up to 64 points (column, row) in the image's coordinates of PS3.3 C.18.6 (0.0 is the outer edge of the first
    pixel), the first repeated as the last; None where the map is flat zero or has no part with an area.
    """
    scale = min(1.0, _WORKING_SIDE / max(rows, columns))
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    surface = spread(activation, height, width)
    if surface.max() <= 0:
        return None
    mask = (surface >= surface.max() * _HALF).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = _simplified(max(contours, key=cv2.contourArea))
    if len(points) < 3:
        return None
    points = (points + 0.5) * np.array([columns / width, rows / height], dtype=np.float32)
    return np.concatenate([points, points[:1]])


def _simplified(contour: npt.NDArray[np.int32]) -> Polygon:
    """The contour with as few points as the coarsest acceptable tolerance needs, so that it can be closed in 64."""
    tolerance = 0.5
    while len(points := cv2.approxPolyDP(contour, tolerance, closed=True)) >= MAXIMUM_POINTS:
        tolerance *= 1.5
    return points.reshape(-1, 2).astype(np.float32)
