"""The contact sheet: the films of the demonstration in reading order, as their heat maps, on one picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread

from cxr_node.demo.outcome import Outcome
from cxr_node.documents.picture import BACKGROUND, SOFT, WHITE, Picture
from cxr_node.domain.finding import Tier, tenths
from cxr_node.errors import CxrNodeError
from cxr_node.imaging import decode, render
from cxr_node.imaging.part10 import read_film
from cxr_node.panel import TIERS, Place, blank, fitted, write, write_lines

MOST = 48
"""Films on a sheet; those that are read later are left out."""

_COLUMNS = 4
_GAP = 28
_WIDTH, _HEIGHT = 440, 540
_CAPTION = 150
_HEADER = 64


def write_sheet(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw the first `MOST` outcomes, which stand in reading order, and write the picture (PNG)."""
    shown = outcomes[:MOST]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    sheet = blank(_HEADER + rows * (_HEIGHT + _CAPTION + _GAP), columns * (_WIDTH + _GAP) + _GAP)
    write(sheet, "Reading order, first at the top left", Place(_GAP, 18, sheet.shape[1] - 2 * _GAP), 28, SOFT)
    for index, outcome in enumerate(shown):
        row, column = divmod(index, columns)
        top, left = _HEADER + row * (_HEIGHT + _CAPTION + _GAP), _GAP + column * (_WIDTH + _GAP)
        _tile(sheet, Place(left, top, _WIDTH), outcome)
    Image.fromarray(sheet).save(path)


def _tile(sheet: Picture, place: Place, outcome: Outcome) -> None:
    picture = fitted(_picture(outcome), _WIDTH, _HEIGHT)
    top = place.top + _HEIGHT - picture.shape[0]
    left = place.left + (_WIDTH - picture.shape[1]) // 2
    sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    _caption(sheet, Place(place.left, place.top + _HEIGHT + 10, _WIDTH), outcome)


def _caption(sheet: Picture, place: Place, outcome: Outcome) -> None:
    entry, tier = outcome.entry, Tier(outcome.entry["tier"])
    place_in_order = f"{entry['position']}.\N{NO-BREAK SPACE}{outcome.arrival.title}"
    top = write_lines(sheet, place_in_order, place, 21, WHITE, most=2, bold=True)
    arrived = f"arrived as number {outcome.arrival.number}"
    below = Place(place.left, top, place.width)
    if outcome.was_analysed:
        said = f"{'no tier' if tier is Tier.NONE else f'tier {tier}'}, {tenths(entry['probability'])} %, {arrived}"
        write(sheet, said, below, 19, TIERS[tier])
    else:
        write_lines(sheet, f"{arrived}; not analysed: {entry['reason']}", below, 17, SOFT)


def _picture(outcome: Outcome) -> Picture:
    """The heat map as the archive has it; of a film that was not analysed, the film, dimmed."""
    if outcome.heatmap is not None:
        return np.asarray(dcmread(outcome.heatmap).pixel_array, dtype=np.uint8)
    try:
        dataset = read_film(outcome.arrival.films[0])
        grey = render(decode(dataset), dataset)
    except CxrNodeError:
        return np.full((_HEIGHT, _WIDTH, 3), BACKGROUND, dtype=np.uint8)
    return np.repeat((grey * 0.5).astype(np.uint8)[..., None], 3, axis=2)
