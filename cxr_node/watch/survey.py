"""What a site's films and results say of a model over the weeks, as values: the shape of `drift --json`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from statistics import median
from typing import Any, Final

from cxr_node.domain.clock import iso
from cxr_node.domain.drift import LEAST_REFERENCE, Shift, counts, edges, of_shares, rate, shift
from cxr_node.store import watching
from cxr_node.store.db import Tx
from cxr_node.store.watching import Labelled, Seen

DAY: Final = 86400.0
REFERENCE_DAYS: Final = 28.0
WEEKS: Final = 8
ALL: Final = "all"
MEASURES: Final = ("probability", "mean", "deviation", "refused", "unusual")
"""What is compared: what the model said, the mean and the contrast of films, and shares of films."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A model, what it is here ("service", "further", "shadow"), and from which probability on it says positive."""

    name: str
    version: str
    digest: str
    role: str
    finding: str
    threshold: float


def survey(tx: Tx, models: Iterable[Watched], now: float, zone: tzinfo) -> list[dict[str, Any]]:
    """Of each model: its reference, then for all films and for each machine the past days and weeks against it."""
    return [_of_model(tx, model, now, zone) for model in models]


def _of_model(tx: Tx, model: Watched, now: float, zone: tzinfo) -> dict[str, Any]:
    head: dict[str, Any] = {**asdict(model), "reference": None, "machines": [], "agreement": []}
    began = watching.began(tx, model.digest)
    if began is None:
        return head
    until = began + REFERENCE_DAYS * DAY
    known = watching.films(tx, model.digest, began, until)
    recent = watching.films(tx, model.digest, max(until, now - (WEEKS + 1) * 7 * DAY), now)
    head["reference"] = {"since": iso(began), "until": iso(until), "films": len(known), "whole": now >= until}
    for name in (ALL, *sorted({film.machine for film in recent})):
        then, films = ([film for film in one if name in (ALL, film.machine)] for one in (known, recent))
        head["machines"].append({"machine": name, **_of_machine(then, films, model, now, zone)})
    head["agreement"] = _agreement(watching.labelled(tx, model.digest, began, now), model, zone)
    return head


def _of_machine(
    reference: Sequence[Seen], films: Sequence[Seen], model: Watched, now: float, zone: tzinfo
) -> dict[str, Any]:
    said = [film.probability for film in reference if film.probability is not None]
    bounds = edges(said) if len(said) >= LEAST_REFERENCE else ()
    days = [film for film in films if film.received_at >= now - 7 * DAY]
    return {
        "reference": _summary(reference, model),
        "classes": {"bounds": list(bounds), "reference": counts(said, bounds), "week": counts(_said(days), bounds)},
        "past_7_days": _against(reference, days, model),
        "weeks": [
            {"week": week, **_against(reference, chosen, model)} for week, chosen in _by_week(films, zone).items()
        ][-WEEKS:],
    }


def _by_week(films: Iterable[Seen], zone: tzinfo) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for film in films:
        found.setdefault(week_of(film.received_at, zone), []).append(film)
    return dict(sorted(found.items()))


def week_of(moment: float, zone: tzinfo) -> str:
    """The ISO week of a moment by the clock of the site, such as 2026-W05."""
    year, week, _ = datetime.fromtimestamp(moment, zone).isocalendar()
    return f"{year}-W{week:02}"


def _against(reference: Sequence[Seen], films: Sequence[Seen], model: Watched) -> dict[str, Any]:
    return {**_summary(films, model), "shifts": {name: asdict(_SHIFTS[name](reference, films)) for name in MEASURES}}


def _summary(films: Sequence[Seen], model: Watched) -> dict[str, Any]:
    said = _said(films)
    seconds = sorted(film.seconds for film in films if film.seconds is not None)
    looked_at = [film for film in films if film.probability is not None]
    return {
        "films": len(films),
        "refused": asdict(rate(sum(film.refused for film in films), len(films))),
        "unusual": asdict(rate(sum(film.unusual for film in looked_at), len(looked_at))),
        "positive": asdict(rate(sum(value >= model.threshold for value in said), len(said))),
        "median_probability": median(said) if said else None,
        "seconds": {"median": median(seconds), "p95": seconds[round(0.95 * (len(seconds) - 1))]} if seconds else None,
    }


def _said(films: Iterable[Seen]) -> list[float]:
    return [film.probability for film in films if film.probability is not None]


def _of_values(value: Callable[[Seen], float | None]) -> Callable[[Sequence[Seen], Sequence[Seen]], Shift]:
    def found(reference: Sequence[Seen], films: Sequence[Seen]) -> Shift:
        then, now = ([each for film in one if (each := value(film)) is not None] for one in (reference, films))
        return shift(then, now)

    return found


def _of_refused(reference: Sequence[Seen], films: Sequence[Seen]) -> Shift:
    then, now = (sum(film.refused for film in one) for one in (reference, films))
    return of_shares(then, len(reference), now, len(films))


def _of_unusual(reference: Sequence[Seen], films: Sequence[Seen]) -> Shift:
    judged = [[film for film in one if film.probability is not None] for one in (reference, films)]
    then, now = (sum(film.unusual for film in one) for one in judged)
    return of_shares(then, len(judged[0]), now, len(judged[1]))


_SHIFTS: Final[dict[str, Callable[[Sequence[Seen], Sequence[Seen]], Shift]]] = {
    "probability": _of_values(lambda film: film.probability),
    "mean": _of_values(lambda film: film.mean),
    "deviation": _of_values(lambda film: film.deviation),
    "refused": _of_refused,
    "unusual": _of_unusual,
}


def _agreement(labelled: Sequence[Labelled], model: Watched, zone: tzinfo) -> list[dict[str, Any]]:
    """Sensitivity and specificity against what final reports say, in all and by week; nothing where nobody said."""
    if not labelled:
        return []
    weeks: dict[str, list[Labelled]] = {ALL: list(labelled)}
    for study in sorted(labelled, key=lambda one: one.received_at):
        weeks.setdefault(week_of(study.received_at, zone), []).append(study)
    return [{"week": week, **_rates(found, model.threshold)} for week, found in weeks.items()]


def _rates(labelled: Sequence[Labelled], threshold: float) -> dict[str, Any]:
    ill = [study.probability >= threshold for study in labelled if study.positive]
    well = [study.probability < threshold for study in labelled if not study.positive]
    return {
        "studies": len(labelled),
        "sensitivity": asdict(rate(sum(ill), len(ill))),
        "specificity": asdict(rate(sum(well), len(well))),
    }
