"""The heat map as a picture: the film in grey, what the model looked at in colour, and a legend below the film."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr_node.documents.region import outlines
from cxr_node.imaging.heat import FAINT, Activation, ramp, spread

Grey = NDArray[np.uint8]
"""(rows, columns), 0 black to 255 white."""
Picture = NDArray[np.uint8]
"""(rows, columns, RGB)."""
Colour = tuple[int, int, int]

BACKGROUND: Final = (16, 16, 20)
WHITE: Final = (245, 245, 245)
SOFT: Final = (195, 195, 200)
AMBER: Final = (255, 200, 60)
NARROWEST: Final = 900
"""Pixels. A narrower film is enlarged, or its legend could not be read."""

_OPACITY: Final = 0.42
_OUTLINE: Final = (120, 255, 255)
_OUTLINE_EDGE: Final = (0, 40, 60)  # on both sides of it, or it would be lost on what is bright
_SLIMMEST: Final = 2
"""How many times as high as wide a picture is at most: a slimmer film gets margins, for a legend that can be read."""

_FONT: Final = "sans"
_BOLD: Final = 600
_REGULAR: Final = 400
_LEFT: Final = cv2.PUT_TEXT_ALIGN_LEFT
_RIGHT: Final = cv2.PUT_TEXT_ALIGN_RIGHT


@dataclass(frozen=True, slots=True)
class Legend:
    """The words below the film: a headline, lines of detail, the warning, and the title and ends of the colour bar."""

    headline: str
    details: tuple[str, ...]
    warning: str
    scale: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of text: its size and the height it takes, as multiples of the legend's unit."""

    text: str
    size: float
    height: float
    colour: Colour
    weight: int = _REGULAR


def draw(film: Grey, activation: Activation | None, legend: Legend) -> Picture:
    """The picture: the film in its proportions, at least 900 pixels wide, and the legend below it.

    `film` has square pixels. Without an `activation` the film is shown as it is, and there is no colour bar.
    """
    picture = enlarged(film)
    if activation is not None:
        picture = overlay(picture, activation)
    if (margin := (picture.shape[0] // _SLIMMEST - picture.shape[1]) // 2) > 0:
        edges = cv2.copyMakeBorder(picture, 0, 0, margin, margin, cv2.BORDER_CONSTANT, value=BACKGROUND)
        picture = np.asarray(edges, dtype=np.uint8)
    return np.vstack([picture, _band(picture.shape[1], legend, coloured=activation is not None)])


def enlarged(film: Grey) -> Picture:
    """The film as a picture of at least 900 pixels in width, on which lines and letters are fine."""
    if film.shape[1] < NARROWEST:
        size = (NARROWEST, round(film.shape[0] * NARROWEST / film.shape[1]))
        film = np.asarray(cv2.resize(film, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    return np.repeat(film[..., None], 3, axis=2)


def overlay(picture: Picture, activation: Activation) -> Picture:
    """The picture with the map in colour over it, and the outlines of where it is strong."""
    rows, columns = picture.shape[:2]
    surface = spread(activation, rows, columns)
    colours = ramp()[(surface * 255).astype(np.uint8)]
    weight = (_OPACITY * np.clip((surface - FAINT) / (1 - FAINT), 0, 1)).astype(np.float32)
    mixed = np.asarray(cv2.blendLinear(colours, picture, weight, 1 - weight), dtype=np.uint8)
    parts = [np.rint(outline).astype(np.int32) for outline in outlines(activation, rows, columns)]
    thickness = max(2, columns // 500)
    cv2.polylines(mixed, parts, True, _OUTLINE_EDGE, thickness=3 * thickness, lineType=cv2.LINE_AA)
    cv2.polylines(mixed, parts, True, _OUTLINE, thickness=thickness, lineType=cv2.LINE_AA)
    return mixed


def width_of(text: str, size: int, *, bold: bool = False) -> int:
    """How wide a line is, in pixels."""
    weight = _BOLD if bold else _REGULAR
    return int(cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace(_FONT), size, weight)[2])


def broken(text: str, size: int, width: float, *, bold: bool = False) -> list[str]:
    """The text in lines of at most `width` pixels, broken at spaces; a longer word has a line of its own."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size, bold=bold) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _band(width: int, legend: Legend, *, coloured: bool) -> Picture:
    """The legend, as wide as the film: the words on the left, the colour bar on the right."""
    unit = width / 48
    room = (33 if coloured else 46) * unit
    details = [line for text in legend.details for line in broken(text, round(unit), room)]
    lines = [
        _Line(legend.headline, 1.6, 2.3, WHITE, _BOLD),
        *(_Line(text, 1.0, 1.5, SOFT) for text in details),
        _Line(legend.warning, 1.0, 1.7, AMBER, _BOLD),
    ]
    height = round((sum(line.height for line in lines) + 1.0) * unit)
    band = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    baseline = 0.0
    for line in lines:
        baseline += line.height * unit
        _write(band, line, unit, (unit, baseline), room)
    if coloured:
        _colour_bar(band, legend, unit)
    return band


def _write(band: Picture, line: _Line, unit: float, at: tuple[float, float], room: float, *, side: int = _LEFT) -> None:
    """Writes a line that starts, or with `_RIGHT` ends, at `at` (column, baseline): smaller if it exceeds `room`."""
    font = cv2.FontFace(_FONT)
    size = round(line.size * unit)
    width = cv2.getTextSize((0, 0), line.text, (0, 0), font, size, line.weight)[2]
    if width > room:
        size = int(size * room / width)
    place = (round(at[0]), round(at[1]))
    cv2.putText(band, line.text, place, line.colour, font, size, line.weight, side)


def _colour_bar(band: Picture, legend: Legend, unit: float) -> None:
    left, right, top, bottom = (round(edge * unit) for edge in (35, 47, 2.2, 3.2))
    shades = np.linspace(0, 255, right - left).astype(np.uint8)
    band[top:bottom, left:right] = ramp()[shades]
    title, low, high = (_Line(text, 0.95, 0, SOFT) for text in (legend.scale, legend.low, legend.high))
    _write(band, title, unit, (left, 1.75 * unit), room=right - left)
    _write(band, low, unit, (left, bottom + 1.25 * unit), room=(right - left) / 2)
    _write(band, high, unit, (right, bottom + 1.25 * unit), room=(right - left) / 2, side=_RIGHT)
