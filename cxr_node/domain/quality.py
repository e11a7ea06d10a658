"""What the pixels of a film say of it: whether it is a frontal chest film, and in what state. Pure data and rules.

The gate's network reads the film (`Reading`); the limits of the gate decide what follows. Only what is blank, a lateral
view, plainly no chest, or inverted and still no chest when set right is refused. Everything else is analysed, and
what is unusual about it is said (`Flag`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from cxr_node.domain.eligibility import Refusal
from cxr_node.domain.finding import ModelIdentity
from cxr_node.message import N_, Message

LEAST_SIDE = 112
"""Pixels of the square film that a gate needs to see; what is enlarged to it looks like no film that it knows."""

View = Literal["frontal", "lateral", "other", "blank"]
Turn = Literal[0, 90, 180, 270]


_REASONS: Mapping[View, tuple[str, str]] = {
    "blank": ("BLANK", N_("The pixels show an exposure without a patient (gate: {share:.2f}).")),
    "lateral": ("LATERAL", N_("The pixels show a lateral view, not a frontal one (gate: {share:.2f}).")),
    "other": ("NOT_CHEST", N_("The pixels do not show a chest (gate: {share:.2f}).")),
}
"""Of each view that is refused: the code, and the sentence with the probability, cut to a hundredth."""


class Flag(StrEnum):
    """What is to be said of a film that is analysed all the same."""

    INVERTED = "inverted"
    TURNED_90 = "turned_90"
    TURNED_180 = "turned_180"
    TURNED_270 = "turned_270"
    CROPPED = "cropped"
    UNUSUAL = "unusual"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the gate's network says of one film.

    `views` has a probability (0..1) for each view and `turns` one for each angle, degrees counter-clockwise; each sums
    to one. `inverted` and `cropped` are probabilities. `distance` says how far the film is from the sound ones that
    the gate learned from: 1 is their average.
    """

    views: Mapping[View, float]
    turns: Mapping[Turn, float]
    inverted: float
    cropped: float
    distance: float


@dataclass(frozen=True, slots=True)
class Limits:
    """From where a probability counts, each chosen on validation films: `lateral` and `no_chest` refuse a film.

    `no_chest` is compared with that of other and blank together. What a film that is refused is called, the likeliest
    of the three decides. The rest flags it: below `frontal` as unsure, from `distance` as unusual.
    """

    lateral: float
    no_chest: float
    frontal: float
    inverted: float
    turned: float
    cropped: float
    distance: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the node keeps of a film that the gate let in: by which build of the gate, and what it flagged."""

    gate: ModelIdentity
    reading: Reading
    flags: tuple[Flag, ...]

    @property
    def inverted(self) -> bool:
        """Whether the film was analysed, and is shown, with black for white."""
        return Flag.INVERTED in self.flags


def refusal(reading: Reading, limits: Limits) -> Refusal | None:
    """Why a film that stands the right way between black and white is not analysed; None where it is."""
    views = reading.views
    if views["lateral"] < limits.lateral and views["other"] + views["blank"] < limits.no_chest:
        return None
    likeliest = max(_REASONS, key=lambda view: views[view])
    code, reason = _REASONS[likeliest]
    return Refusal(code, Message(reason, share=int(100 * views[likeliest]) / 100))


def assess(read: Callable[[bool], Reading], limits: Limits) -> Refusal | tuple[Reading, tuple[Flag, ...]]:
    """Why a film is not analysed, or how it was read at last and what is to be said of it.

    `read` reads the film as it is, or (True) with black for white. A film that looks inverted and is a chest when set
    right is let in, and flagged.
    """
    reading = read(False)
    refused = refusal(reading, limits)
    inverted = reading.inverted >= limits.inverted and not (refused and refused.code == "BLANK")
    if inverted:
        reading = read(True)
        again = refusal(reading, limits)
        refused = again and (refused or _beyond_repair(again))
    return refused or (reading, flags(reading, limits, inverted=inverted))


def _beyond_repair(found: Refusal) -> Refusal:
    why = Message("Black and white look exchanged, and the other way round: {reason}", reason=found.reason)
    return Refusal("INVERTED", why)


def flags(reading: Reading, limits: Limits, *, inverted: bool) -> tuple[Flag, ...]:
    """What is to be said of a film that is analysed; `inverted`: it was set right before this reading."""
    angle = max(reading.turns, key=lambda turn: reading.turns[turn])
    turned = angle != 0 and reading.turns[angle] >= limits.turned
    found = {
        Flag.INVERTED: inverted,
        Flag.TURNED_90: turned and angle == 90,
        Flag.TURNED_180: turned and angle == 180,
        Flag.TURNED_270: turned and angle == 270,
        Flag.CROPPED: reading.cropped >= limits.cropped,
        Flag.UNUSUAL: reading.distance >= limits.distance,
        Flag.UNSURE: reading.views["frontal"] < limits.frontal,
    }
    return tuple(flag for flag, holds in found.items() if holds)


def grade(flagged: tuple[Flag, ...] | None) -> Literal["diagnostic", "limited"] | None:
    """How a report grades a film that was analysed: limited with any flag; None where no gate looked at it."""
    if flagged is None:
        return None
    return "limited" if flagged else "diagnostic"
