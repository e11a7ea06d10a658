"""A chest film that nobody had taken: a thorax of plain shapes, seen by X-rays (Beer-Lambert) and a detector.

The counts behind the shapes are drawn from a Poisson distribution, blurred by the detector, and shown as a radiograph
shows them: bone white, air black. The film says PHANTOM in its pixels. It exercises the node; it teaches nothing about
pneumonia.

Positions are in centimetres on a film 41 cm high: x from the midline towards the patient's left, which is right on the
film, y downwards from the upper edge, z along the beam from front to back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr_node.demo.shadows import Curve, Map, Plane, blur

FILM_HEIGHT_CM = 41.0
BITS = 12
MARK = "PHANTOM"

# Linear attenuation in 1/cm at 80 keV, about the mean energy of a 125 kVp beam behind a chest: mass attenuation
# coefficients of the ICRU-44 tissues (Hubbell and Seltzer, NISTIR 5632, tables 3 and 4) times density in g/cm3.
_SOFT_TISSUE = 0.1823 * 1.06
_LUNG = 0.1826 * 0.26
_BONE = 0.2229 * 1.92
_AIR = 0.1662 * 0.0012

_PHOTONS_PER_CM2 = 4.0e7  # with nothing in the beam; leaves some 4000 to a pixel of 0.2 mm behind the lungs
_SCATTER = 0.4  # to one of primary, behind an anti-scatter grid
_SCATTER_SIGMA_CM = 3.0
_DETECTOR_SIGMA_CM = 0.014

_CHEST_WALL_CM = 3.0  # front and back together, at the least
_SIDES = (-1.0, 1.0)  # right and left of the patient


@dataclass(frozen=True, slots=True)
class Opacity:
    """A soft-edged ball of consolidated lung.

    `x` and `y` place its centre, as fractions of the film's width and height from the upper left corner; `radius` is
    where it has faded to a third, in cm; `density` is the share of the air there that it replaces, above 0, at most 1.
    """

    x: float
    y: float
    radius: float
    density: float = 0.8


def project(
    opacities: Sequence[Opacity] = (), *, rows: int = 2048, columns: int = 1792, seed: int
) -> NDArray[np.uint16]:
    """A frontal film of the phantom: uint16 of shape (rows, columns), 0 to 4095, bright where little passes.

    `seed` chooses the build of the thorax, its vessels and the noise; the same arguments always give the same film.
    Opacities replace lung only: what lies beside the lungs leaves no trace.
    """
    build, disease, noise = np.random.default_rng(seed).spawn(3)
    plane = Plane(rows, columns, FILM_HEIGHT_CM)
    lungs = _lungs(plane, build)
    filled = np.minimum(_vessels(plane, build) + _consolidation(plane, opacities, disease), lungs)
    body = np.maximum(_body(plane), lungs + _CHEST_WALL_CM * (lungs > 0))
    attenuation = _SOFT_TISSUE * body - (_SOFT_TISSUE - _LUNG) * (lungs - filled)
    attenuation += (_BONE - _SOFT_TISSUE) * _bones(plane, build)
    attenuation -= (_SOFT_TISSUE - _AIR) * np.minimum(_airways(plane), body)
    return _mark(_present(_expose(attenuation, plane.pitch, noise), plane.pitch))


def _body(plane: Plane) -> Map:
    """Skin to skin: neck, shoulders, chest, upper abdomen."""
    return plane.stack(
        [
            (-1, -6, 6, 11), (2, -7, 7, 12), (4, -10, 10, 13), (6.5, -18, 18, 15), (9, -21, 21, 18),
            (13, -20, 20, 21), (18, -17.2, 17.2, 22), (24, -16.4, 16.4, 22), (42, -16.8, 16.8, 22),
        ],
        flatness=2.6,
    )  # fmt: skip


def _lungs(plane: Plane, rng: np.random.Generator) -> Map:
    """The two lungs as far as mediastinum, heart and diaphragm leave them room."""
    lungs = np.zeros(plane.shape, dtype=np.float32)
    for side in _SIDES:
        edges = [
            (4.4, 4.2, 5.6, 1), (5.4, 2.4, 7.4, 7), (7.5, 1.0, 9.2, 11), (11, 0.4, 11.2, 14), (16, 0, 12.9, 17),
            (22, 0, 13.8, 18.5), (28, 0, 14.3, 18.5), (34, 0, 14.6, 17),
        ]  # fmt: skip
        slices = [
            (y, min(side * inner, side * outer), max(side * inner, side * outer), depth)
            for y, inner, outer, depth in edges
        ]
        lungs += plane.stack(slices, flatness=3.5)
    lungs -= _mediastinum(plane, rng) + _diaphragm(plane, rng)
    return np.asarray(np.maximum(lungs, 0))


def _mediastinum(plane: Plane, rng: np.random.Generator) -> Map:
    """Great vessels, aortic knuckle and heart."""
    size = rng.uniform(0.92, 1.05)
    vessels = plane.stack(
        [
            (-1, -3.0, 3.0, 14), (6, -2.7, 3.0, 14), (10, -2.2, 2.5, 15), (14, -1.9, 2.4, 16), (19, -2.3, 2.6, 18),
            (36, -2.4, 2.6, 20),
        ],
        flatness=2.5,
    )  # fmt: skip
    knuckle = plane.ellipsoid((2.3, 11.3), (1.8, 1.7, 3.5))
    pulmonary_trunk = plane.ellipsoid((2.2, 14.8), (1.9, 2.6, 3.0), tilt=-20)
    right_heart = plane.ellipsoid((-0.6, 23.4), (3.9 * size, 5.6 * size, 6.5))
    left_heart = plane.ellipsoid((2.8, 23.2), (7.4 * size, 5.3 * size, 7.0), tilt=38)
    return vessels + knuckle + pulmonary_trunk + np.maximum(right_heart, left_heart)


def _diaphragm(plane: Plane, rng: np.random.Generator) -> Map:
    """The two domes, the right one (left on the film) higher."""
    breath = rng.uniform(-0.7, 0.7)
    right = plane.ellipsoid((-6.9, 35.4 + breath), (8.9, 8.6, 14))
    left = plane.ellipsoid((7.1, 36.4 + breath), (8.7, 8.6, 14))
    return np.maximum(right, left)


def _vessels(plane: Plane, rng: np.random.Generator) -> Map:
    """The branching vessels of both lungs, thick at the hilum and thin towards the edge."""
    generations: list[list[Curve]] = [[] for _ in range(4)]
    radii = (0.56, 0.32, 0.18, 0.10)

    def grow(start: NDArray[np.float64], angle: float, generation: int) -> None:
        if generation == len(radii):
            return
        length = rng.uniform(2.6, 4.0) * 0.86**generation
        bend = rng.normal(0, 0.2)
        t = np.linspace(0, 1, 12)[:, np.newaxis]
        heading = angle + bend * t
        curve = start + length * t * np.concatenate([np.cos(heading), np.sin(heading), 0 * t], axis=1)
        generations[generation].append(curve)
        for turn in (-0.45, 0.4):
            grow(curve[-1], angle + bend + turn * rng.uniform(0.5, 1.3), generation + 1)

    for side in _SIDES:
        hilum = np.array([side * 3.0, 16.6 - 0.8 * (side > 0), 0.0])
        for direction in (-75, -42, -12, 18, 44, 68):
            grow(hilum, float(np.radians(direction if side > 0 else 180 - direction)) + rng.normal(0, 0.08), 0)
    shadows = [plane.rods(curves, radius) for curves, radius in zip(generations, radii, strict=True)]
    return np.asarray(np.sum(shadows, axis=0), dtype=np.float32)


def _consolidation(plane: Plane, opacities: Sequence[Opacity], rng: np.random.Generator) -> Map:
    """How much of the beam's path the opacities have filled; mottled, as exudate is."""
    rows, columns = plane.shape
    filled = np.zeros(plane.shape, dtype=np.float32)
    for opacity in opacities:
        x, y = (opacity.x - 0.5) * columns * plane.pitch, opacity.y * rows * plane.pitch
        distance = ((plane.x - x) ** 2 + (plane.y - y) ** 2) / opacity.radius**2
        mottle = blur(rng.standard_normal(plane.shape, dtype=np.float32), 0.7 / plane.pitch)
        mottle = np.clip(1 + 0.25 * mottle / mottle.std(), 0.2, 1.8)
        filled += opacity.density * np.sqrt(np.pi) * opacity.radius * np.exp(-distance) * mottle
    return filled


def _airways(plane: Plane) -> Map:
    """Trachea, main bronchi, and the air in the stomach."""
    trachea = plane.rods([np.array([(0.0, -1.0, 0.0), (0.2, 8.0, 0.0), (0.3, 13.6, 0.0)])], 0.85)
    bronchi = [np.array([(0.3, 13.4, 0.0), (side * 1.6 + 0.2, 15.2, 0.0), (side * 3.2, 16.6, 0.0)]) for side in _SIDES]
    return trachea + plane.rods(bronchi, 0.55) + plane.ellipsoid((5.6, 31.3), (2.6, 1.3, 2.2), tilt=-6)


def _bones(plane: Plane, rng: np.random.Generator) -> Map:
    """Centimetres of compact bone: ribs and collar bones are shells, vertebrae and shoulder blades are spongy."""
    ribs = _ribs(rng)
    course = ((1.9, 8.6), (4.2, 7.4), (7.5, 7.0), (10.5, 6.0), (13.2, 4.6), (15.4, 4.4))
    collar = [np.array([(side * x, y, 0.0) for x, y in course]) for side in _SIDES]
    bone = plane.rods(ribs, 0.62) - 0.8 * plane.rods(ribs, 0.44)
    bone += plane.rods(collar, 0.68) - 0.75 * plane.rods(collar, 0.46)
    bone += 0.35 * _spine(plane)
    for side in _SIDES:
        bone += plane.ellipsoid((side * 14.9, 11.3), (2.5, 6.2, 0.28), tilt=side * 10)
        bone += 0.4 * plane.ellipsoid((side * 18.2, 6.6), (2.5, 2.5, 2.3))
    return bone


def _ribs(rng: np.random.Generator) -> list[Curve]:
    """Ten pairs, each from the spine round the side of the chest to where its cartilage starts."""
    half_widths = (5.9, 8.3, 10.2, 11.6, 12.7, 13.5, 14.1, 14.4, 14.6, 14.7)
    drops = (3.2, 4.8, 6.2, 7.4, 8.3, 9.0, 9.6, 10.0, 9.6, 8.6)
    angle = np.linspace(0.13, 0.82, 60) * np.pi
    curves = []
    for i, (half_width, drop) in enumerate(zip(half_widths, drops, strict=True)):
        depth = 5.0 + 0.5 * i
        level = 4.6 + 2.42 * i + rng.normal(0, 0.06)
        y = level + drop * ((1 - np.cos(angle)) / 2) ** 1.25 - 0.9 * np.sin(angle)
        for side in _SIDES:
            curves.append(np.stack([side * half_width * np.sin(angle) ** 0.9, y, depth * np.cos(angle)], axis=1))
    return curves


def _spine(plane: Plane) -> Map:
    """Vertebral bodies with a gap for each disc, and their spinous processes."""
    spine = np.zeros(plane.shape, dtype=np.float32)
    for i in range(17):
        middle, half_width = 1.2 + 2.45 * i, 1.35 + 0.045 * i
        top, bottom, rim = middle - 1.02, middle + 1.02, half_width + 0.2
        slices = [(top, -rim, rim, 2.9), (middle, -half_width, half_width, 2.6), (bottom, -rim, rim, 2.9)]
        spine += plane.stack(slices, flatness=6)
        spine += plane.ellipsoid((0.0, middle + 1.0), (0.35, 0.75, 1.2))
    return spine


def _expose(attenuation: Map, pitch: float, rng: np.random.Generator) -> Map:
    """What the detector makes of it: the attenuation again, as one would work it out from the counts."""
    unattenuated = _PHOTONS_PER_CM2 * pitch**2
    primary = np.asarray(unattenuated * np.exp(-attenuation), dtype=np.float32)
    expected = primary + _SCATTER * blur(primary, _SCATTER_SIGMA_CM / pitch)
    counts = blur(np.asarray(rng.poisson(expected), dtype=np.float32), _DETECTOR_SIGMA_CM / pitch)
    return np.asarray(-np.log(np.maximum(counts, 1) / unattenuated), dtype=np.float32)


def _present(attenuation: Map, pitch: float) -> NDArray[np.uint16]:
    """The film as it is shown: large differences compressed, fine ones kept, on an S-shaped curve to 12 bits."""
    base = blur(attenuation, 2.0 / pitch)
    compressed = attenuation - 0.45 * (base - 2.0)
    shown = 1 / (1 + np.exp(-(compressed - 1.9) / 0.45))
    return np.asarray(np.round(shown * (2**BITS - 1)), dtype=np.uint16)


def _mark(film: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """An R above the patient's right shoulder and the word PHANTOM above the left one."""
    rows, columns = film.shape
    letters = np.zeros(film.shape, dtype=np.uint8)
    font, scale, thickness = cv2.FONT_HERSHEY_SIMPLEX, rows / 800, max(1, rows // 350)
    (width, _), _ = cv2.getTextSize(MARK, font, scale, thickness)
    for text, left, base in ((MARK, round(columns * 0.98) - width, 0.06), ("R", round(columns * 0.02), 0.06)):
        cv2.putText(letters, text, (left, round(rows * base)), font, scale, 255, thickness, cv2.LINE_AA)
    marked: NDArray[np.uint16] = np.maximum(film, np.left_shift(letters, BITS - 8, dtype=np.uint16))
    return marked
