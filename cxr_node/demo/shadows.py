"""The shadows that plain shapes throw on a film under a parallel beam: how many centimetres of each the beam crosses.

Positions are in centimetres: x from the film's vertical midline to the right, y downwards from its upper edge, and z
along the beam.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
"""One value per pixel, shape (rows, columns); path lengths in cm unless said otherwise."""

Curve = NDArray[np.float64]
"""Points along a curve in space, shape (n, 3): x, y, z in cm."""


class Plane:
    """A film of `rows` x `columns` square pixels that is `height` cm high; every method returns path lengths in cm."""

    def __init__(self, rows: int, columns: int, height: float) -> None:
        self.pitch = height / rows
        self.shape = (rows, columns)
        self.x: Map = ((np.arange(columns, dtype=np.float32) + 0.5 - columns / 2) * self.pitch)[np.newaxis, :]
        self.y: Map = ((np.arange(rows, dtype=np.float32) + 0.5) * self.pitch)[:, np.newaxis]

    def ellipsoid(self, centre: tuple[float, float], radii: tuple[float, float, float], tilt: float = 0.0) -> Map:
        """`radii` along x, y and the beam; `tilt` turns it clockwise on the film, in degrees."""
        cos, sin = float(np.cos(np.radians(tilt))), float(np.sin(np.radians(tilt)))
        x, y = self.x - centre[0], self.y - centre[1]
        u, v = (x * cos + y * sin) / radii[0], (y * cos - x * sin) / radii[1]
        return np.asarray(2 * radii[2] * np.sqrt(np.maximum(1 - u * u - v * v, 0)), dtype=np.float32)

    def stack(self, slices: Sequence[tuple[float, float, float, float]], flatness: float = 2.0) -> Map:
        """Slices laid upon each other, given as (y, left edge, right edge, depth) and joined smoothly.

        A slice is an ellipse; with a `flatness` above 2 it is squarer. Above the first and below the last is nothing.
        """
        y, *edges = np.array(slices).T
        first, last = np.searchsorted(self.y[:, 0], (y[0], y[-1]))
        level = self.y[first:last, 0]
        left, right, depth = (_smooth(level, y, edge).astype(np.float32)[:, np.newaxis] for edge in edges)
        u = np.abs(self.x - (left + right) / 2) / np.maximum((right - left) / 2, 1e-3)
        path = np.zeros(self.shape, dtype=np.float32)
        path[first:last] = depth * np.sqrt(np.maximum(1 - u**flatness, 0))
        return path

    def rods(self, curves: Sequence[Curve], radius: float) -> Map:
        """Round rods of `radius` cm along `curves`.

        A rod is a ball swept along its curve: its volume is laid down on the film along the curve, then spread as a
        ball's shadow is. So it grows denser where the curve turns into the beam, as ribs do at the side of the chest.
        """
        path = np.concatenate([_resample(curve, self.pitch / 2) for curve in curves])
        column = np.floor((path[:, 0] - self.x[0, 0]) / self.pitch + 0.5).astype(int)
        row = np.floor((path[:, 1] - self.y[0, 0]) / self.pitch + 0.5).astype(int)
        seen = (row >= 0) & (row < self.shape[0]) & (column >= 0) & (column < self.shape[1])
        length = np.zeros(self.shape, dtype=np.float32)
        np.add.at(length, (row[seen], column[seen]), self.pitch / 2)

        reach = int(np.ceil(radius / self.pitch))
        offset = np.arange(-reach, reach + 1) * self.pitch
        ball = np.sqrt(np.maximum(radius**2 - offset[:, np.newaxis] ** 2 - offset**2, 0))
        ball *= np.pi * radius**2 / (ball.sum() * self.pitch**2)
        return np.maximum(cv2.filter2D(length, cv2.CV_32F, ball, borderType=cv2.BORDER_CONSTANT), 0)


def blur(values: Map, sigma: float) -> Map:
    """`values` under a Gaussian of `sigma` pixels; a wide one, which leaves nothing fine, on a smaller picture."""
    step = max(1, int(sigma / 6))
    rows, columns = values.shape
    small = cv2.resize(values, (max(1, columns // step), max(1, rows // step)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _smooth(at: Map, knots: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic Hermite interpolation with centred slopes: no corners, hardly any overshoot."""
    slopes = np.gradient(values, knots)
    i = np.clip(np.searchsorted(knots, at) - 1, 0, len(knots) - 2)
    width = knots[i + 1] - knots[i]
    t = np.clip((at - knots[i]) / width, 0, 1)
    value = values[i] * (1 + 2 * t) * (1 - t) ** 2 + values[i + 1] * t**2 * (3 - 2 * t)
    return np.asarray(value + width * (slopes[i] * t * (1 - t) ** 2 + slopes[i + 1] * t**2 * (t - 1)))


def _resample(curve: Curve, step: float) -> Curve:
    """Points every `step` cm along the straight pieces between the points of `curve`."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = np.arange(step / 2, along[-1], step)
    return np.stack([np.interp(at, along, curve[:, axis]) for axis in range(3)], axis=1)
