"""The map of where a model looked, spread over the film and coloured."""

from functools import cache
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Activation: TypeAlias = tuple[tuple[float, ...], ...]
Map: TypeAlias = npt.NDArray[np.float32]
FAINT: Final = 0.2
"""Below this share of the map the film shows through unchanged."""

_PALETTE: Final = cv2.COLORMAP_INFERNO  # lightness rises with the value, so that it is read without colour vision too


def spread(activation: Activation, rows: int, columns: int) -> Map:
    """The map over the whole film, smoothly, rows x columns; 0 to 1."""
    grid = np.asarray(activation, dtype=np.float32)
    return np.clip(cv2.resize(grid, (columns, rows), interpolation=cv2.INTER_CUBIC), 0, 1)


@cache
def ramp() -> npt.NDArray[np.uint8]:
    """The palette from nothing to the most: (256, RGB)."""
    values = np.arange(256, dtype=np.uint8)[:, None]
    return np.asarray(cv2.applyColorMap(values, _PALETTE)[:, 0, ::-1], dtype=np.uint8)


def layer(activation: Activation, rows: int, columns: int) -> bytes:
    """A PNG to lay over the film: the colour of each place, opaque where the map is strongest."""
    surface = spread(activation, rows, columns)
    alpha = np.clip((surface - FAINT) / (1 - FAINT), 0, 1)
    blue_green_red = ramp()[(surface * 255).astype(np.uint8)][..., ::-1]
    picture = np.dstack([blue_green_red, np.rint(alpha * 255).astype(np.uint8)])
    _, encoded = cv2.imencode(".png", picture)
    return encoded.tobytes()
