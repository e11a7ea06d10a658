"""Lateral chest films drawn over the texture of frontal ones, since no lateral film with an open licence was at hand.

What a lateral view superposes is made from what a frontal one shows side by side: the two lungs of a film are laid over
each other within the outline of a body seen from the side, with the heart in front, the spine behind, shoulders above
and the domes of the diaphragm, which slope backwards, below. Every measure is drawn at random. The front is at the left
until the whole may be mirrored; positions are fractions of the side.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.polynomial import polynomial
from numpy.random import Generator
from numpy.typing import NDArray

from cxr_node.imaging import Prepared

Map = NDArray[np.floating]
"""A value for each pixel, or for each row or column of a film."""


@dataclass(frozen=True, slots=True)
class _Side:
    """The body from the side: row and column of each pixel, and at each row where the body and its lungs end."""

    y: Map
    x: Map
    front: Map
    back: Map
    lung_front: Map
    lung_back: Map

    @property
    def depth(self) -> Map:
        """How far back a pixel lies within the lungs, 0..1."""
        deep = (self.x - self.lung_front) / np.maximum(self.lung_back - self.lung_front, 0.05)
        return np.asarray(np.clip(deep, 0, 1))


def lateral(film: Prepared, random: Generator) -> Prepared:
    """A lateral view made from a frontal film (size, size), 0 black to 1 white."""
    side = _side(film.shape[0], random)
    sharp = random.uniform(0.006, 0.03)
    body = _step(side.x - side.front, sharp) * _step(side.back - side.x, sharp)
    base = random.uniform(0.62, 0.8)
    lung = _lung(side, base, random)
    wall = random.uniform(0.65, 1.0) + 0.1 * (side.y - 0.5)
    air = random.uniform(0.12, 0.5) + random.uniform(0.2, 0.45) * (_texture(film, random) - 0.35)
    drawn: Map = body * (wall * (1 - lung) + lung * air)
    drawn += lung * _heart(side, base, random)
    drawn += body * (_middle(side, random) + _spine(side, random))
    drawn += body * random.uniform(0.1, 0.5) * _step(random.uniform(0.1, 0.28) - side.y, 0.05)
    drawn += body * lung * _ribs(side, random)
    drawn = _limbs(drawn, side, random)
    drawn += random.uniform(0, 0.08) * side.x + random.uniform(0, 0.05)
    mirrored = drawn[:, ::-1] if random.random() < 0.5 else drawn
    white = max(float(np.percentile(mirrored, random.uniform(93, 99.5))), 1e-3)
    return np.asarray(np.clip(np.ascontiguousarray(mirrored) / white, 0, 1), np.float32)


def _side(size: int, random: Generator) -> _Side:
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    wider = random.uniform(-0.06, 0.06)
    front = _curve(size, random, ((0, 0.30), (0.25, 0.16), (0.55, 0.08), (0.8, 0.10), (1, 0.12)), 0.06) - wider
    back = _curve(size, random, ((0, 0.72), (0.25, 0.86), (0.6, 0.92), (0.85, 0.85), (1, 0.82)), 0.06) + wider
    lung_front = front + _curve(size, random, ((0, 0.2), (0.25, 0.1), (0.6, 0.07), (1, 0.1)), 0.04)
    lung_back = back - _curve(size, random, ((0, 0.2), (0.25, 0.1), (0.6, 0.08), (1, 0.1)), 0.03)
    return _Side(rows, columns, front, back, lung_front, lung_back)


def _curve(size: int, random: Generator, points: tuple[tuple[float, float], ...], wobble: float) -> Map:
    """A smooth line from top to bottom near points (row, column): its column at each row, (size, 1)."""
    rows = [row for row, _ in points]
    columns = [column + random.uniform(-wobble, wobble) for _, column in points]
    fitted = polynomial.polyval(np.linspace(0, 1, size), polynomial.polyfit(rows, columns, 3))
    return np.asarray(fitted, np.float32)[:, None]


def _step(distance: Map, width: float) -> Map:
    """0 to 1 where the distance becomes positive, softly over `width`."""
    return np.asarray(1 / (1 + np.exp(-np.clip(distance / width, -40, 40))), np.float32)


def _texture(film: Prepared, random: Generator) -> Map:
    """What both lungs show together: the halves of the film over each other, without their coarse light and dark."""
    size = film.shape[0]
    overlap = round(size * random.uniform(0, 0.08))
    middle = size // 2 + round(size * random.uniform(-0.04, 0.04))
    top, bottom = round(size * random.uniform(0, 0.2)), round(size * random.uniform(0.75, 1))
    halves = film[top:bottom, : middle + overlap][:, ::-1], film[top:bottom, middle - overlap :]
    one, other = (cv2.resize(np.ascontiguousarray(half), (size, size)) for half in halves)
    share = random.uniform(0.3, 0.7)
    both = share * one + (1 - share) * other
    coarse = cv2.GaussianBlur(both, (0, 0), size * random.uniform(0.04, 0.1))
    fine = random.uniform(0.8, 1.6) * (both - coarse) + random.uniform(0, 0.35) * (coarse - coarse.mean())
    return np.asarray(np.clip(0.5 + fine, 0, 1), np.float32)


def _lung(side: _Side, base: float, random: Generator) -> Map:
    """How much of the lungs a ray meets, 0..1: each lung ends at a dome of its own."""
    sharp = random.uniform(0.01, 0.035)
    apex = random.uniform(0, 0.14) + random.uniform(0, 0.15) * np.abs(side.depth - 0.55) * 2
    within = _step(side.x - side.lung_front, sharp) * _step(side.lung_back - side.x, sharp)
    within *= _step(side.y - apex, 0.03)
    slope, arch = random.uniform(0.05, 0.28), random.uniform(0, 0.06)
    dome = base + slope * side.depth**1.5 - arch * np.sin(np.pi * side.depth)
    other = dome + random.uniform(-0.06, 0.06)
    return within * (0.6 * _step(dome - side.y, 0.012) + 0.4 * _step(other - side.y, 0.012))


def _heart(side: _Side, base: float, random: Generator) -> Map:
    column = side.front + random.uniform(0.16, 0.34) * (side.back - side.front)
    row, angle = base - random.uniform(0.02, 0.14), random.uniform(0.3, 1.0)
    along = (side.x - column) * np.cos(angle) + (side.y - row) * np.sin(angle)
    across = (side.y - row) * np.cos(angle) - (side.x - column) * np.sin(angle)
    length, width = random.uniform(0.12, 0.2), random.uniform(0.1, 0.17)
    inside = 1 - np.sqrt((along / length) ** 2 + (across / width) ** 2)
    return random.uniform(0.12, 0.4) * _step(inside, random.uniform(0.06, 0.2))


def _middle(side: _Side, random: Generator) -> Map:
    """The roots of the lungs and the great vessels."""
    column, row = (side.front + side.back) / 2, random.uniform(0.35, 0.5)
    spread = ((side.x - column) / random.uniform(0.05, 0.1)) ** 2 + ((side.y - row) / random.uniform(0.06, 0.15)) ** 2
    return np.asarray(random.uniform(0, 0.3) * np.exp(-spread), np.float32)


def _spine(side: _Side, random: Generator) -> Map:
    """A column of vertebrae, which more lung below makes darker."""
    column = side.lung_back - random.uniform(0.02, 0.1) + random.uniform(-0.04, 0.04) * np.sin(np.pi * side.y)
    vertebrae = 0.7 + 0.3 * np.sin(2 * np.pi * side.y * random.uniform(7, 13) + random.uniform(0, 6))
    bright = random.uniform(0.05, 0.3) * (1 - random.uniform(0, 0.7) * side.y)
    return np.asarray(bright * vertebrae * np.exp(-(((side.x - column) / random.uniform(0.04, 0.09)) ** 2)), np.float32)


def _ribs(side: _Side, random: Generator) -> Map:
    lines = np.sin(
        2 * np.pi * random.uniform(5, 10) * (side.y + random.uniform(0.15, 0.6) * side.x) + random.uniform(0, 6)
    )
    return random.uniform(0, 0.1) * _step(lines - 0.5, 0.2)


def _limbs(drawn: Map, side: _Side, random: Generator) -> Map:
    """On some films a breast in front, an arm or a chin above."""
    if random.random() < 0.35:
        column, row = side.front - random.uniform(0, 0.04), random.uniform(0.5, 0.7)
        wide, high = random.uniform(0.06, 0.12), random.uniform(0.1, 0.18)
        breast = _step(1 - np.sqrt(((side.x - column) / wide) ** 2 + ((side.y - row) / high) ** 2), 0.05)
        drawn = np.maximum(drawn, breast * random.uniform(0.3, 0.8))
    if random.random() < 0.4:
        middle = 0.5 + random.uniform(-0.25, 0.25) + random.uniform(-1.5, 1.5) * (side.y - 0.1)
        arm = _step(random.uniform(0.06, 0.14) - np.abs(side.x - middle), 0.02)
        drawn = drawn + random.uniform(0.1, 0.4) * arm * _step(random.uniform(0.15, 0.35) - side.y, 0.03)
    return drawn
