"""The heat map as a picture: the film in grey, what the model looked at in colour, and a legend below the film."""

from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from cxr_node.documents.region import Activation, main_outline, spread

Grey: TypeAlias = npt.NDArray[np.uint8]
Colour: TypeAlias = npt.NDArray[np.uint8]

SHORTEST_WIDTH: Final = 900
_PALETTE: Final = cv2.COLORMAP_INFERNO
_OPACITY: Final = 0.6
_FAINT: Final = 0.2  # below this share of the map the film shows through unchanged
_BACKGROUND: Final = (16, 16, 20)
_WHITE: Final = (240, 240, 240)
_SOFT: Final = (190, 190, 195)
_AMBER: Final = (255, 200, 60)
_OUTLINE: Final = (120, 255, 255)


@dataclass(frozen=True, slots=True)
class Legend:
    """The words below the film: a headline, lines of detail, the warning, and the ends and title of the colour bar."""

    headline: str
    details: tuple[str, ...]
    warning: str
    low: str
    high: str
    scale: str


def draw(film: Grey, activation: Activation | None, legend: Legend) -> Colour:
    """The picture, RGB, as wide as the film and at least 900 pixels (a smaller film is enlarged, in its proportions).

    `film` has square pixels. Without an `activation` the film is shown as it is.
    """
    if film.shape[1] < SHORTEST_WIDTH:
        factor = SHORTEST_WIDTH / film.shape[1]
        size = (SHORTEST_WIDTH, round(film.shape[0] * factor))
        film = cv2.resize(film, size, interpolation=cv2.INTER_CUBIC)
    picture = cv2.cvtColor(film, cv2.COLOR_GRAY2RGB)
    if activation is not None:
        picture = _overlay(picture, activation)
    return np.vstack([picture, _band(picture.shape[1], legend, coloured=activation is not None)])


def _overlay(picture: Colour, activation: Activation) -> Colour:
    rows, columns = picture.shape[:2]
    surface = spread(activation, rows, columns)
    colours = _ramp()[(surface * 255).astype(np.uint8)]
    weight = _OPACITY * np.clip((surface - _FAINT) / (1 - _FAINT), 0, 1)[..., None]
    mixed = (picture * (1 - weight) + colours * weight).astype(np.uint8)
    outline = main_outline(activation, rows, columns)
    if outline is not None:
        points = np.round(outline).astype(np.int32)
        cv2.polylines(
            mixed, [points], isClosed=True, color=_OUTLINE, thickness=max(2, columns // 500), lineType=cv2.LINE_AA
        )
    return mixed


@cache
def _ramp() -> Colour:
    """The palette from nothing to the most, 256 x RGB."""
    values = np.arange(256, dtype=np.uint8)[:, None]
    return cv2.cvtColor(cv2.applyColorMap(values, _PALETTE), cv2.COLOR_BGR2RGB)[:, 0]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _band(width: int, legend: Legend, *, coloured: bool) -> Colour:
    unit = width / 48
    heights = [1.9 * unit] + [1.25 * unit] * (len(legend.details) + 1)
    top = 0.8 * unit
    band = Pillow.new("RGB", (width, round(sum(heights) + 2 * top)), _BACKGROUND)
    pen = ImageDraw.Draw(band)
    lines = [
        (legend.headline, 1.5, _WHITE),
        *((line, 0.95, _SOFT) for line in legend.details),
        (legend.warning, 1.0, _AMBER),
    ]
    for (text, size, colour), height in zip(lines, heights, strict=True):
        pen.text((unit, top), text, font=_font(round(size * unit)), fill=colour)
        top += height
    if coloured:
        _colour_bar(band, pen, unit, legend)
    return np.asarray(band)


def _colour_bar(band: Pillow.Image, pen: ImageDraw.ImageDraw, unit: float, legend: Legend) -> None:
    left, right, top, bottom = (round(edge * unit) for edge in (34, 47, 2.2, 3.2))
    bar = cv2.resize(_ramp()[None], (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    band.paste(Pillow.fromarray(bar), (left, top))
    font = _font(round(0.95 * unit))
    pen.text((left, 0.8 * unit), legend.scale, font=font, fill=_SOFT)
    pen.text((left, bottom + 0.2 * unit), legend.low, font=font, fill=_SOFT)
    pen.text((right, bottom + 0.2 * unit), legend.high, font=font, fill=_SOFT, anchor="ra")
