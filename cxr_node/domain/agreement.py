"""How far two models agree on the same films: counts, Cohen's kappa, McNemar's test, correlation, and by week."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo


@dataclass(frozen=True, slots=True)
class Pair:
    """What two models said of one film: probabilities (0..1), and what the site reads them as.

    `received_at` in seconds since 1970 UTC.
    """

    received_at: float
    one: float
    other: float
    one_positive: bool
    other_positive: bool


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over the films of a period; None where a figure has no value, such as a correlation with what never varies.

    `kappa` is Cohen's (Educ. Psychol. Meas. 20:37, 1960). `mcnemar_p` is the exact two-sided probability that the films
    on which they differ would be divided so unevenly if neither were readier to call a film positive (McNemar,
    Psychometrika 12:153, 1947). `correlation` is Pearson's, of the probabilities; `mean_difference` is one less other.
    """

    films: int
    both_positive: int
    both_negative: int
    only_one: int
    only_other: int
    kappa: float | None
    mcnemar_p: float
    correlation: float | None
    mean_one: float
    mean_other: float
    mean_difference: float


def agreement(pairs: Sequence[Pair]) -> Agreement:
    """Raises ValueError without a pair."""
    if not pairs:
        raise ValueError("there is no agreement on no film")
    count = len(pairs)
    both = sum(pair.one_positive and pair.other_positive for pair in pairs)
    only_one = sum(pair.one_positive and not pair.other_positive for pair in pairs)
    only_other = sum(pair.other_positive and not pair.one_positive for pair in pairs)
    neither = count - both - only_one - only_other
    mean_one, mean_other = (
        math.fsum(values) / count for values in zip(*((p.one, p.other) for p in pairs), strict=True)
    )
    return Agreement(
        films=count,
        both_positive=both,
        both_negative=neither,
        only_one=only_one,
        only_other=only_other,
        kappa=_kappa(both, only_one, only_other, neither),
        mcnemar_p=_mcnemar(only_one, only_other),
        correlation=_correlation(pairs, mean_one, mean_other),
        mean_one=mean_one,
        mean_other=mean_other,
        mean_difference=mean_one - mean_other,
    )


def by_week(pairs: Sequence[Pair], zone: tzinfo) -> dict[str, Agreement]:
    """The agreement in each ISO week (as 2026-W05) in which films were received, by the clock of the site."""
    weeks: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        year, week, _ = datetime.fromtimestamp(pair.received_at, zone).isocalendar()
        weeks[f"{year}-W{week:02}"].append(pair)
    return {week: agreement(weeks[week]) for week in sorted(weeks)}


def _kappa(both: int, only_one: int, only_other: int, neither: int) -> float | None:
    count = both + only_one + only_other + neither
    observed = (both + neither) / count
    one, other = (both + only_one) / count, (both + only_other) / count
    chance = one * other + (1 - one) * (1 - other)
    return (observed - chance) / (1 - chance) if chance < 1 else None


def _mcnemar(only_one: int, only_other: int) -> float:
    count, fewer = only_one + only_other, min(only_one, only_other)
    logs = (math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(fewer + 1))
    return min(1.0, 2 * math.fsum(math.exp(each - count * math.log(2)) for each in logs))


def _correlation(pairs: Sequence[Pair], mean_one: float, mean_other: float) -> float | None:
    ones, others = [pair.one - mean_one for pair in pairs], [pair.other - mean_other for pair in pairs]
    spread = math.sqrt(math.fsum(x * x for x in ones) * math.fsum(y * y for y in others))
    shared = math.fsum(x * y for x, y in zip(ones, others, strict=True))
    return max(-1.0, min(1.0, shared / spread)) if spread > 0 else None
