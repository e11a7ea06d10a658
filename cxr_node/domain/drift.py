"""Whether what a model sees, and what it says, is still what it was: population stability, shares, agreement.

The population stability index (PSI) of two samples over the same classes is the sum of (a - e) ln(a / e) over their
shares; below 0.1 nothing moved, from 0.25 on much did (Siddiqi, Credit Risk Scorecards, 2006, chapter 7). For two
samples of one population, of n and m values in k classes, PSI n m / (n + m) is about chi-squared with k - 1 degrees of
freedom (Yurdakul and Naranjo, Journal of Risk Model Validation 14(4), 2020), so that small samples have large indices
by chance: an alarm takes both the limit and a value that chance reaches once in a thousand.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

CLASSES: Final = 10
MOVED, MOVED_MUCH = 0.1, 0.25
LEAST_REFERENCE, LEAST_WEEK = 100, 30
"""Values below which nothing is said of a reference or a week."""

Verdict = Literal["steady", "moved", "moved_much", "too_few"]

_CHI_SQUARED: Final = {
    1: 10.828,
    2: 13.816,
    3: 16.266,
    4: 18.467,
    5: 20.515,
    6: 22.458,
    7: 24.322,
    8: 26.124,
    9: 27.877,
}
"""By degrees of freedom: what chance exceeds once in a thousand."""
_HALF: Final = 0.5
"""Added to each count, so that an empty class has a logarithm (Jeffreys)."""
_Z: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a week is from its reference: the index, the value that chance alone reaches once in a thousand, and what
    follows."""

    psi: float
    by_chance: float
    verdict: Verdict


def edges(reference: Sequence[float]) -> tuple[float, ...]:
    """The inner bounds of up to ten classes that hold about as many values of a reference each; none twice."""
    ordered = sorted(reference)
    inner = (ordered[round(number * (len(ordered) - 1) / CLASSES)] for number in range(1, CLASSES))
    return tuple(sorted({bound for bound in inner if bound > ordered[0]}))


def counts(values: Sequence[float], bounds: Sequence[float]) -> list[int]:
    """How many values lie in each class: below the first bound, and from each on."""
    found = [0] * (len(bounds) + 1)
    for value in values:
        found[bisect_right(bounds, value)] += 1
    return found


def shift(reference: Sequence[float], week: Sequence[float]) -> Shift:
    """How far the values of a week are from those of the reference; classes are the reference's deciles."""
    if len(reference) < LEAST_REFERENCE or len(week) < LEAST_WEEK:
        return Shift(0.0, 0.0, "too_few")
    bounds = edges(reference)
    return of_counts(counts(reference, bounds), counts(week, bounds))


def of_counts(reference: Sequence[int], week: Sequence[int]) -> Shift:
    """The same for counts by class. Raises ValueError for fewer than one or more than ten classes."""
    if len(reference) != len(week) or not 1 <= len(reference) <= CLASSES:
        raise ValueError(f"{len(reference)} and {len(week)} classes")
    expected, actual = _shares(reference), _shares(week)
    psi = math.fsum((a - e) * math.log(a / e) for a, e in zip(actual, expected, strict=True))
    freedom = len(reference) - 1
    chance = _CHI_SQUARED[freedom] * (1 / sum(reference) + 1 / sum(week)) if freedom else math.inf
    if sum(reference) < LEAST_REFERENCE or sum(week) < LEAST_WEEK:
        return Shift(psi, chance, "too_few")
    return Shift(psi, chance, _verdict(psi, chance))


def of_shares(reference: int, among: int, week: int, of: int) -> Shift:
    """The same for a share: `reference` of `among` then, `week` of `of` now."""
    if among < LEAST_REFERENCE or of < LEAST_WEEK:
        return Shift(0.0, 0.0, "too_few")
    return of_counts([reference, among - reference], [week, of - week])


def _verdict(psi: float, chance: float) -> Verdict:
    if psi < MOVED or psi < chance:
        return "steady"
    return "moved_much" if psi >= MOVED_MUCH else "moved"


def _shares(found: Sequence[int]) -> list[float]:
    total = sum(found) + _HALF * len(found)
    return [(count + _HALF) / total for count in found]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % interval (Wilson, JASA 22:209, 1927); None of nothing."""

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None


def rate(count: int, of: int) -> Rate:
    if of == 0:
        return Rate(count, of, None, None, None)
    share = count / of
    centre = (share + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z / (1 + _Z**2 / of) * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    return Rate(count, of, share, max(0.0, centre - half), min(1.0, centre + half))
