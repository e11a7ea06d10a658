"""The weekly report: one HTML file that needs nothing else, for the person who answers for the model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_WIDTH, _HEIGHT, _GAP = 320, 96, 4
NAMES: Final[Mapping[str, str]] = {
    "probability": "what the model says",
    "mean": "brightness of films",
    "deviation": "contrast of films",
    "refused": "films refused",
    "unusual": "films unlike those that the gate knows",
}


def page(values: Mapping[str, Any]) -> str:
    """The report of a survey: `made_at`, `site`, `week`, and `models` as `survey` gives them."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"percent": percent, "interval": interval, "bars": bars}
    return made.get_template("page.html").render(**values, names=NAMES)


def percent(rate: Mapping[str, Any]) -> str:
    return "–" if rate["share"] is None else f"{100 * rate['share']:.1f} %"


def interval(rate: Mapping[str, Any]) -> str:
    """A share with its 95 % interval and what it is of."""
    if rate["share"] is None:
        return "–"
    return f"{percent(rate)} ({100 * rate['low']:.1f} to {100 * rate['high']:.1f} %; {rate['count']} of {rate['of']})"


def bars(classes: Mapping[str, Sequence[float]]) -> Markup:
    """The shares of a reference (grey) and of the past week (blue) by class, beside each other."""
    then, now = classes["reference"], classes["week"]
    if sum(then) == 0 or sum(now) == 0:
        return Markup("")
    shares = [[count / sum(one) for count in one] for one in (then, now)]
    highest = max(max(one) for one in shares)
    wide = (_WIDTH - _GAP) / len(then)
    parts = [
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>').format(
            _GAP + number * wide + which * wide * 0.4, _HEIGHT - _HEIGHT * share / highest, wide * 0.38,
            _HEIGHT * share / highest, ("#9a9a9a", "#1f6fb2")[which],
        )
        for which, one in enumerate(shares)
        for number, share in enumerate(one)
    ]  # fmt: skip
    return Markup('<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, _WIDTH, _HEIGHT,
        "Shares of films by class of what the model says: reference grey, past week blue", Markup("").join(parts),
    )  # fmt: skip
