"""One analysed film as a picture for people: the film, where the evidence lies in it, and the outputs as bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr_node.documents import Further, Profile
from cxr_node.documents.language import sentence
from cxr_node.documents.picture import AMBER, BACKGROUND, SOFT, WHITE, Colour, Picture, broken, overlay, width_of
from cxr_node.documents.wording import consulted, figures, flagged, output_name, percent
from cxr_node.documents.wording import headline as headline_of
from cxr_node.domain.finding import Analysis, Tier
from cxr_node.domain.quality import Flag

FAINT: Final = (120, 120, 128)
TIERS: Final[dict[Tier, Colour]] = {Tier.HIGH: (240, 96, 72), Tier.MEDIUM: AMBER, Tier.NONE: (110, 165, 215)}

_TRACK: Final = (44, 44, 52)
_HEIGHT: Final = 720
_WIDEST: Final = 900
_MARGIN: Final = 28
_WORDS: Final = 470
_FONT: Final = "sans"
_REGULAR, _BOLD = 400, 600


@dataclass(frozen=True, slots=True)
class Place:
    """A corner (column, row) and how wide what starts there may be, in pixels."""

    left: int
    top: int
    width: int


def draw_panel(
    film: NDArray[np.uint8],
    analysis: Analysis,
    title: str,
    profile: Profile,
    *,
    flags: Sequence[Flag] = (),
    further: Sequence[Further] = (),
) -> Picture:
    """The panel, 776 pixels high. `film` has square pixels, (rows, columns), 0 black to 255 white.

    Below the threshold no map is shown: its colours look the same at any probability.
    """
    grey = fitted(np.repeat(film[..., None], 3, axis=2), _WIDEST, _HEIGHT)
    positive = profile.cutoffs.positive(analysis.probability)
    shown = positive and bool(np.any(analysis.activation))
    right = overlay(grey, analysis.activation) if shown else _without_map(grey, profile)
    width = grey.shape[1]
    panel = blank(_HEIGHT + 2 * _MARGIN, 2 * width + _WORDS + 4 * _MARGIN)
    for left, picture in ((_MARGIN, grey), (width + 2 * _MARGIN, right)):
        panel[_MARGIN : _MARGIN + picture.shape[0], left : left + width] = picture
    place = Place(2 * width + 3 * _MARGIN, _MARGIN, _WORDS)
    top = _words(panel, place, analysis, title, profile)
    if flags:
        top = write_lines(panel, flagged(flags, profile.language), Place(place.left, top + 8, _WORDS), 18, AMBER)
    for one in further:
        top = write_lines(panel, consulted(profile, one), Place(place.left, top + 8, _WORDS), 18, SOFT)
    return panel


def blank(rows: int, columns: int) -> Picture:
    """An empty picture in the colour of the background."""
    return np.full((rows, columns, 3), BACKGROUND, dtype=np.uint8)


def fitted(picture: Picture, columns: int, rows: int) -> Picture:
    """The picture in its proportions, as large as fits."""
    scale = min(columns / picture.shape[1], rows / picture.shape[0])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=method), dtype=np.uint8)


def write(picture: Picture, text: str, place: Place, size: int, colour: Colour, *, bold: bool = False) -> int:
    """Write one line of `size` pixels below the top of `place`, smaller if it exceeds the width; the row below it."""
    font, weight = cv2.FontFace(_FONT), _BOLD if bold else _REGULAR
    reach = width_of(text, size, bold=bold)
    fit = size if reach <= place.width else max(1, int(size * place.width / reach))
    cv2.putText(picture, text, (place.left, place.top + size), colour, font, fit, weight)
    return place.top + round(1.4 * size)


def write_lines(
    picture: Picture, text: str, place: Place, size: int, colour: Colour, *, most: int = 4, bold: bool = False
) -> int:
    """Write a text in up to `most` lines that are broken at spaces; the row below the last."""
    lines, top = broken(text, size, place.width, bold=bold), place.top
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} ..."]
    for line in lines:
        top = write(picture, line, Place(place.left, top, place.width), size, colour, bold=bold)
    return top


def _without_map(grey: Picture, profile: Profile) -> Picture:
    """The film, dimmed, with the word that there is no region to show."""
    dimmed: Picture = (grey * 0.35).astype(np.uint8)
    text = sentence("picture.no_region", profile.language)
    left = (grey.shape[1] - min(width_of(text, 22), grey.shape[1])) // 2
    write(dimmed, text, Place(left, grey.shape[0] // 2, grey.shape[1]), 22, SOFT)
    return dimmed


def _words(panel: Picture, place: Place, analysis: Analysis, title: str, profile: Profile) -> int:
    """Title, headline and bars from the top; the model and the warning at the bottom. The row below the bars."""

    def below(top: int) -> Place:
        return Place(place.left, top, place.width)

    said, cutoffs, model = profile.language, profile.cutoffs, analysis.model
    finding, certainty = output_name(analysis, analysis.finding, said), headline_of(profile, analysis)
    threshold = sentence("picture.threshold", said, threshold=percent(cutoffs.threshold))
    headline, details = certainty, threshold
    if not cutoffs.positive(analysis.probability):
        headline = sentence("picture.negative", said, finding=finding)
        details = f"{certainty} - {threshold}"
        if not analysis.terms.others:
            details += f" - {sentence('picture.nothing_else', said)}"
    top = write(panel, title, place, 18, FAINT)
    top = write(panel, headline, below(top + 14), 30, WHITE, bold=True)
    top = write_lines(panel, details, below(top + 4), 18, SOFT)
    top = _bar(
        panel, below(top + 12), analysis.probability, TIERS[cutoffs.tier(analysis.probability)], mark=cutoffs.threshold
    )
    top += 34
    for name, number, share in figures(profile, analysis, analysis.probabilities):
        top = _labelled_bar(panel, below(top), name, number, share)
    bottom = _MARGIN + _HEIGHT
    identity = sentence("picture.model", said, model=model.name, version=model.version, digest=model.digest[:8])
    write(panel, identity, below(bottom - 62), 17, SOFT)
    write(panel, sentence("intended_use." + profile.mode, said), below(bottom - 30), 20, AMBER, bold=True)
    return top


def _labelled_bar(panel: Picture, place: Place, name: str, figure: str, share: float) -> int:
    number = f"{figure} %"
    room = width_of(number, 18)
    write(panel, number, Place(place.left + place.width - room, place.top, room), 18, WHITE)
    top = write(panel, name, Place(place.left, place.top, place.width - room - 12), 18, SOFT)
    return _bar(panel, Place(place.left, top, place.width), share, SOFT) + 18


def _bar(panel: Picture, place: Place, share: float, colour: Colour, *, mark: float | None = None) -> int:
    """A bar of `share` (0..1) of the width, with a tick at `mark`; the row below it."""
    bottom, right = place.top + 16, place.left + place.width
    panel[place.top : bottom, place.left : right] = _TRACK
    panel[place.top : bottom, place.left : place.left + round(place.width * share)] = colour
    if mark is not None:
        tick = place.left + round(place.width * mark)
        panel[place.top - 5 : bottom + 5, tick - 1 : tick + 1] = WHITE
    return bottom
