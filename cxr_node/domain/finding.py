"""What a model says about a film, in the node's own terms.

Pure data: no library types, so that it can be stored, shown and compared anywhere.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum


class Tier(StrEnum):
    """What the model promotes a study to in the worklist; NONE leaves it in arrival order."""

    HIGH = "high"
    MEDIUM = "medium"
    NONE = "none"

    @property
    def rank(self) -> int:
        """0 for the most urgent."""
        return (Tier.HIGH, Tier.MEDIUM, Tier.NONE).index(self)


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Where the site reads a probability as positive, and as which tier; each in 0..1.

    `threshold` decides positive; `high` and `medium` decide the tier of a positive study.
    """

    threshold: float
    medium: float
    high: float

    def positive(self, probability: float) -> bool:
        """Whether the site reads it as a finding, in whatever tier."""
        return probability >= self.threshold

    def tier(self, probability: float) -> Tier:
        """What a study with this probability is promoted to; a finding below every tier stays in arrival order."""
        if not self.positive(probability):
            return Tier.NONE
        if probability >= self.high:
            return Tier.HIGH
        return Tier.MEDIUM if probability >= self.medium else Tier.NONE


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The model build that judged: its name and version for people, its digest (SHA-256, hex) for machines."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Term:
    """A coded concept (PS3.3 8.8) for an output of a model; `meanings` by language, as "en"."""

    value: str
    scheme: str
    meanings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a model's outputs are in documents.

    `kinds` are the classes that its finding divides into; none where it does not. `others` are further findings, which
    do not set the severity. `codes` are those that the model brings along, by output.
    """

    kinds: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    codes: dict[str, Term] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Analysis:
    """One model's judgement of one image.

    `finding` is the finding that sets the severity, `probability` the calibrated output for it (0..1), whatever its
    value. `probabilities` has every class and sums to one. `activation` is the class activation map of `finding`: rows
    of numbers over the whole film as the network saw it (0..1, 1 where the evidence is strongest; all zero where the
    film has none). `explanation` says how it was made: `cam`, `gradcam` or `occlusion`. `terms` are the model's own.
    `logits` are the network's, as they came; `calibration` is the SHA-256 (hex) of the site's own way to read them,
    empty where the model was read as released.
    """

    model: ModelIdentity
    finding: str
    probability: float
    probabilities: dict[str, float]
    activation: tuple[tuple[float, ...], ...] = field(repr=False)
    explanation: str = "cam"
    terms: Terms = Terms()
    logits: tuple[float, ...] = ()
    calibration: str = ""


def cut(fraction: float, digits: int) -> float:
    """A fraction in percent, cut, so that nothing below a threshold reads as if it had reached it."""
    scale: int = 10**digits
    return math.floor(round(100 * scale * fraction, 6)) / scale


def tenths(fraction: float) -> str:
    """A fraction in percent, cut to a tenth."""
    return f"{cut(fraction, 1):.1f}"
