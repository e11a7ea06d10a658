"""`cxr-node simulate`: what the reading order would do at a site, before it goes live."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cxr_node.commands.options import as_json, with_config
from cxr_node.config import Config

if TYPE_CHECKING:
    from cxr_node.domain.reading_room import Hours


def _hours(value: str) -> "Hours":
    """A part of every day, as 8-18 or 7.5-20."""
    from cxr_node.domain.reading_room import Hours

    found = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", value)
    start, end = map(float, found.groups()) if found else (0.0, 0.0)
    if not 0 <= start < end <= 24:
        raise click.BadParameter(f"{value!r} are no hours of a day: write them as 8-18, the earlier first, at most 24")
    return Hours(3600 * start, 3600 * end)


class _Number(click.FloatRange):
    """A finite number in a range: click's own takes infinity and NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not abs(number) < float("inf"):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


_AMOUNT = _Number(0, 1e6, min_open=True)
_SHARE = _Number(0, 1)
_COUNT = click.IntRange(1, 10_000)
_PREVALENCE = 0.05  # an assumption, for want of the site's own figure
_MOST = 20_000_000  # studies in all runs; about ten minutes
_EXAMPLE = (
    "Examples: cxr-node simulate --studies-per-day 120 --readers 1 --reading-hours 7-21 --out simulated/; "
    "cxr-node simulate --prevalence 0.04 --sensitivity 0.9 --specificity 0.85 --max-wait-minutes 240 --json"
)


@click.command(epilog=_EXAMPLE)
@click.option("--studies-per-day", type=_AMOUNT, default=160, show_default=True, help="That come, on average.")
@click.option(
    "--arrival-hours",
    type=_hours,
    metavar="FROM-TO",
    default="0-24",
    show_default=True,
    help="When they come, at random.",
)
@click.option("--prevalence", type=_SHARE, help="Share of critical ones. Default: [model] prevalence, else 0.05.")
@click.option("--stat", type=_SHARE, default=0, show_default=True, help="Share that a person or the RIS sets to STAT.")
@click.option("--readers", type=_COUNT, default=1, show_default=True, help="Who read at the same time.")
@click.option(
    "--reading-hours",
    type=_hours,
    metavar="FROM-TO",
    default="0-24",
    show_default=True,
    help="When they begin a study.",
)
@click.option("--reading-minutes", type=_AMOUNT, default=8, show_default=True, help="A study takes, on average.")
@click.option(
    "--reading-spread", type=_Number(0, 5), default=1, show_default=True,
    help="Standard deviation of the reading time by its mean; 0: always the same, 1: exponential.",
)  # fmt: skip
@click.option("--sensitivity", type=_SHARE, help="Share of critical studies that the model promotes.")
@click.option(
    "--specificity", type=_SHARE, help="Share of the others that it leaves. Default of both: the model's card."
)
@click.option("--films", help="Test films of the card that sensitivity and specificity are from. Default: the worst.")
@click.option("--max-wait-minutes", type=_AMOUNT, help="Then a study is overdue. Default: that of [worklist].")
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="Of each run.")
@click.option("--runs", type=_COUNT, default=200, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed, the same studies.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Folder for a plot (SVG), CSV, JSON."
)
@as_json
@with_config
def simulate(
    config: Config,
    *,
    prevalence: float | None,
    sensitivity: float | None,
    specificity: float | None,
    films: str | None,
    max_wait_minutes: float | None,
    runs: int,
    seed: int,
    out: Path | None,
    as_json: bool,
    **stated: Any,
) -> None:
    """What the node's reading order would do at a site, against first in, first out: report turnaround of critical and
    other studies. Needs no node."""
    from cxr_node.errors import Permanent
    from cxr_node.simulation import shown
    from cxr_node.simulation.runs import outcome
    from cxr_node.simulation.runs import simulate as run
    from cxr_node.simulation.site import Site

    sensitivity, specificity, model = _promoting(config, sensitivity, specificity, films)
    site = Site(
        **stated,
        prevalence=_prevalence(config) if prevalence is None else prevalence,
        sensitivity=sensitivity,
        specificity=specificity,
        max_wait_minutes=max_wait_minutes or config.worklist.max_wait_minutes,
    )
    _require_feasible(site.studies_per_day * site.days * runs)
    hidden = not sys.stderr.isatty()
    with click.progressbar(run(site, runs, seed), runs, "runs", file=sys.stderr, hidden=hidden) as bar:
        found = outcome(site, seed, bar)
    click.echo(json.dumps(shown.as_json(found, model), indent=2) if as_json else shown.table(found, model))
    if out is not None:
        try:
            paths = shown.write(found, model, out)
        except OSError as error:
            raise Permanent("OUTPUT_FOLDER", f"cannot write into {out}: {error.strerror}") from error
        click.echo("written: " + ", ".join(map(str, paths)), err=as_json)


def _require_feasible(studies: float) -> None:
    """Raises UsageError for what would take hours."""
    if studies > _MOST:
        raise click.UsageError(
            f"{studies:,.0f} studies in all are too many, {_MOST:,} are the most: give fewer --days or --runs"
        )


def _prevalence(config: Config) -> float:
    """The site's, where it states one."""
    from cxr_node.plan import Plan

    plan = Plan.in_service(config)
    return plan.prevalence_of(plan.manifest) or _PREVALENCE


def _promoting(
    config: Config, sensitivity: float | None, specificity: float | None, films: str | None
) -> tuple[float, float, str]:
    """Sensitivity, specificity, and where they are from.

    Raises:
        UsageError: one is stated without the other, or the card has no figures for how the site reads the model.
    """
    from cxr_node.simulation.shown import STATED

    if sensitivity is not None and specificity is not None:
        if films is not None:
            raise click.UsageError(
                "--films is for figures of the card: leave it out, or --sensitivity and --specificity"
            )
        return sensitivity, specificity, STATED
    if sensitivity is not None or specificity is not None:
        raise click.UsageError("give --sensitivity and --specificity together: one says nothing without the other")
    return _of_the_card(config, films)


def _of_the_card(config: Config, films: str | None) -> tuple[float, float, str]:
    from cxr_node.errors import ConfigError
    from cxr_node.inference.figures import operating
    from cxr_node.plan import Plan

    model = Plan.in_service(config).manifest
    if model.finding in config.model.thresholds or config.worklist.tiers or model.outputs.site_calibration:
        raise click.UsageError(
            f"this site reads {model.called} at a threshold of its own, for which the model's card has no figures: "
            "give --sensitivity and --specificity"
        )
    try:
        groups = operating(model)
    except ConfigError as error:
        raise click.UsageError(f"{error.message} Give --sensitivity and --specificity.") from error
    chosen = next((group for group in groups if films in (None, group.films)), None)
    if chosen is None:
        known = "; ".join(group.films for group in groups)
        raise click.UsageError(f"the card of {model.called} has no test films {films!r}; it has: {known}")
    return chosen.sensitivity, chosen.specificity, f"{model.called} on its test films {chosen.films}"
