"""The weekly report: one HTML file that needs nothing else, for the person who answers for the model."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cxr_node.locale import Language, catalogue, said, translated
from cxr_node.locale.terms import FINDINGS
from cxr_node.message import N_, Message

_WIDTH, _HEIGHT, _GAP = 320, 96, 4
NAMES: Final[Mapping[str, str]] = {
    "probability": N_("What the model says"),
    "mean": N_("Brightness"),
    "deviation": N_("Contrast"),
    "refused": N_("Refused"),
    "unusual": N_("Unusual"),
}
_ROLES: Final[Mapping[str, str]] = {
    "service": N_("in service"),
    "further": N_("beside it, for the report"),
    "shadow": N_("beside it, without consequence"),
}


def page(values: Mapping[str, Any], language: Language) -> str:
    """The report of a survey: `made_at`, `site`, `week`, and `models` as `survey` gives them."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"], trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.install_gettext_translations(catalogue(language), newstyle=True)  # type: ignore[attr-defined]
    made.filters |= {
        "percent": percent, "interval": partial(interval, language=language), "bars": partial(bars, language=language),
    }  # fmt: skip
    words = {"language": language, "names": NAMES, "roles": _ROLES, "findings": FINDINGS}
    return made.get_template("page.html").render(**values, **words)


def percent(rate: Mapping[str, Any]) -> str:
    return "–" if rate["share"] is None else f"{100 * rate['share']:.1f} %"


def interval(rate: Mapping[str, Any], language: Language) -> str:
    """A share with its 95 % interval and what it is of."""
    if rate["share"] is None:
        return "–"
    found = Message(
        "{share} ({low:.1f} to {high:.1f} %; {count} of {among})",
        share=percent(rate), low=100 * rate["low"], high=100 * rate["high"], count=rate["count"], among=rate["of"],
    )  # fmt: skip
    return said(found, language)


def bars(classes: Mapping[str, Sequence[float]], language: Language) -> Markup:
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
    shown = N_("Shares of films by class of what the model says: reference grey, past week blue")
    return Markup('<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, _WIDTH, _HEIGHT, translated(shown, language), Markup("").join(parts)
    )
