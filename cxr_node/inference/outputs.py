"""What a model was asked, and so what its logits mean: probabilities for the node, and the evidence behind them.

`FindingAndKind` has two logits; `Classes` has one for each of its classes, under a softmax. Both name one finding that
sets the severity of a film; its probability goes to the worklist. Free of torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxr_node.inference.calibration import (
    Calibration,
    ClassCalibration,
    class_probabilities,
    probabilities,
    shift,
    sigmoid,
    softmax,
)

Floats = NDArray[np.float32]


class Outputs(Protocol):
    """How the outputs of one kind of network are read."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that a film may be of."""
        ...

    @property
    def calibration(self) -> Calibration | ClassCalibration:
        """What makes probabilities of the logits."""
        ...

    @property
    def site_calibration(self) -> str:
        """The SHA-256 (hex) of a site's calibration; empty where the model is read as released."""
        ...

    @property
    def finding_classes(self) -> tuple[str, ...]:
        """The classes that have the finding."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """The classes that the finding divides into; none where it does not."""
        ...

    @property
    def count(self) -> int:
        """How many logits the network gives."""
        ...

    @property
    def prevalence(self) -> float:
        """The share of films with the finding (0..1) at which the probabilities are right as they stand."""
        ...

    def read(self, logits: Sequence[float], prevalence: float | None = None) -> tuple[float, dict[str, float]]:
        """The probability of the finding, and that of each class (they sum to one).

        `prevalence` (0..1) is the site's, where it states one.
        """
        ...

    def evidence(self, maps: Floats, logits: Sequence[float], *, closed_form: bool) -> Floats:
        """Where the film speaks for the finding (h, w), signed, from a map for each logit (outputs, h, w).

        `closed_form`: the mean of each map is its logit, so that biases count too.
        """
        ...


@dataclass(frozen=True, slots=True)
class FindingAndKind:
    """Two logits: the finding against its absence, and its first kind against its second, given the finding.

    `classes` are, in this order: without the finding, its first kind, its second kind.
    """

    classes: tuple[str, ...]
    calibration: Calibration

    def __post_init__(self) -> None:
        if len(self.classes) != 3:
            raise ValueError("classes are three: without the finding, its first kind, its second kind")

    @property
    def site_calibration(self) -> str:
        return ""

    @property
    def finding_classes(self) -> tuple[str, ...]:
        return self.classes[1:]

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.classes[1:]

    @property
    def count(self) -> int:
        return 2

    @property
    def prevalence(self) -> float:
        return self.calibration.prevalence

    def read(self, logits: Sequence[float], prevalence: float | None = None) -> tuple[float, dict[str, float]]:
        finding, kind = probabilities(logits, self.calibration, prevalence)
        return finding, class_probabilities(self.classes, finding, kind)

    def evidence(self, maps: Floats, logits: Sequence[float], *, closed_form: bool) -> Floats:  # noqa: ARG002
        bias = self.calibration.finding_bias if closed_form else 0.0
        return np.asarray(maps[0] * self.calibration.finding_scale + bias, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Classes:
    """A logit for each class, of which a film is of one; `finding_classes` are those that have the finding."""

    classes: tuple[str, ...]
    finding_classes: tuple[str, ...]
    calibration: ClassCalibration

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError("classes are two or more, and their names differ")
        if not self.finding_classes or not set(self.finding_classes) < set(self.classes):
            raise ValueError("finding_classes are some of the classes, and not all of them")
        if len(self.calibration.scales) != len(self.classes):
            raise ValueError(f"a calibration for {len(self.calibration.scales)} of {len(self.classes)} classes")

    @property
    def site_calibration(self) -> str:
        return ""

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.finding_classes if len(self.finding_classes) > 1 else ()

    @property
    def count(self) -> int:
        return len(self.classes)

    @property
    def prevalence(self) -> float:
        return self.calibration.prevalence

    def read(self, logits: Sequence[float], prevalence: float | None = None) -> tuple[float, dict[str, float]]:
        """As of `Outputs`. A prevalence moves the finding as a whole, and leaves proportions on either side of it."""
        calibrated = self.calibration.logits(logits)
        inside, outside = self._sides()
        finding = sigmoid(_total(calibrated, inside) - _total(calibrated, outside))
        finding = shift(finding, self.prevalence, prevalence)
        shares = dict(zip(inside, softmax([calibrated[place] for place in inside]), strict=True))
        others = dict(zip(outside, softmax([calibrated[place] for place in outside]), strict=True))
        return finding, {
            name: finding * shares[place] if place in shares else (1 - finding) * others[place]
            for place, name in enumerate(self.classes)
        }

    def evidence(self, maps: Floats, logits: Sequence[float], *, closed_form: bool) -> Floats:
        """As of `Outputs`: the maps weighted with the gradient of the finding's log-odds.

        Each class counts with its share of its side, so a film that is plainly of one class shows that class.
        """
        calibrated = self.calibration.logits(logits)
        inside, outside = self._sides()
        evidence = np.zeros(maps.shape[1:], dtype=np.float32)
        for sign, side in ((1.0, inside), (-1.0, outside)):
            for place, share in zip(side, softmax([calibrated[place] for place in side]), strict=True):
                bias = self.calibration.biases[place] if closed_form else 0.0
                evidence += sign * share * (self.calibration.scales[place] * maps[place] + bias)
        return evidence

    def _sides(self) -> tuple[list[int], list[int]]:
        """The places of the classes with the finding, and of those without it."""
        inside = [place for place, name in enumerate(self.classes) if name in self.finding_classes]
        return inside, [place for place in range(len(self.classes)) if place not in inside]


def _total(logits: Sequence[float], places: Sequence[int]) -> float:
    """log(sum(exp(logit))) over the classes at `places`."""
    largest = max(logits[place] for place in places)
    return largest + math.log(sum(math.exp(logits[place] - largest) for place in places))
