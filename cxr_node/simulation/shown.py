"""What a simulation came to, for a terminal, for programs, and as files."""

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr_node.domain.reading_room import Hours
from cxr_node.simulation.plot import drawing
from cxr_node.simulation.runs import GROUPS, MEASURES, ORDERS, Outcome
from cxr_node.tables import aligned

STATED = "as stated"
"""Where sensitivity and specificity are from when the person who simulates gave them."""

_GROUPS = {"critical": "critical", "other": "other", "all": "all"}
_MEASURES = {"mean": "mean", "median": "median", "p95": "95th percentile", "max": "longest"}
_MANY = 0.02  # as a share of the studies: from here on the maximum wait costs the critical ones something to speak of


def as_json(outcome: Outcome, model: str) -> dict[str, Any]:
    """The stable form: the site, the load, and figures in minutes, each with the range of 95 of 100 runs.

    `model` says where sensitivity and specificity are from.
    """
    site = asdict(outcome.site)
    for name in ("arrival_hours", "reading_hours"):
        site[name] = [site[name]["start"] / 3600, site[name]["end"] / 3600]
    return {
        "site": site,
        "model": model,
        "load": outcome.site.load,
        "runs": len(outcome.runs),
        "seed": outcome.seed,
        **outcome.summary(),
    }


def table(outcome: Outcome, model: str) -> str:
    """What a person reads: the site, the figures by order, and what to know of them."""
    figures = outcome.summary()["turnaround_minutes"]
    rows: list[tuple[str, ...]] = [("studies", "order", *(_MEASURES[name] for name in MEASURES))]
    for group in GROUPS:
        rows += [
            (
                _GROUPS[group] if order == ORDERS[0] else "",
                order,
                *(_cell(figures[order][group][name]) for name in MEASURES),
            )
            for order in (*ORDERS, "change")
        ]
    return "\n".join([*_site(outcome, model), "", aligned(rows), "", *_notes(outcome, model)])


def write(outcome: Outcome, model: str, folder: Path) -> tuple[Path, ...]:
    """simulation.json, simulation.csv (a row for each run, order and group) and simulation.svg. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"simulation.{kind}" for kind in ("json", "csv", "svg"))
    paths[0].write_text(json.dumps(as_json(outcome, model), indent=2) + "\n", "utf-8")
    with paths[1].open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("run", "order", "group", "studies", *(f"{name}_minutes" for name in MEASURES)))
        for number, run in enumerate(outcome.runs, 1):
            for (order, group), values in run.figures.items():
                there = [f"{value:.2f}" for value in values] if run.counts[group] else [""] * len(MEASURES)
                writer.writerow((number, order, group, run.counts[group], *there))
    paths[2].write_text(drawing(outcome, model), "utf-8")
    return paths


def hours_text(hours: Hours) -> str:
    """As people write them: 8-18, or 7.5-20."""
    return f"{hours.start / 3600:g}-{hours.end / 3600:g}"


def _site(outcome: Outcome, model: str) -> list[str]:
    site = outcome.site
    return [
        f"{site.studies_per_day:g} studies a day (arriving {hours_text(site.arrival_hours)} h), {site.prevalence:.1%} "
        f"critical, {site.stat:.1%} STAT",
        f"{site.readers} reading ({hours_text(site.reading_hours)} h), {site.reading_minutes:g} minutes a study on "
        f"average (spread {site.reading_spread:g}): busy {site.load:.0%} of that time",
        f"promoted: {site.sensitivity:.1%} of the critical, {1 - site.specificity:.1%} of the others ({model})",
        f"overdue after {site.max_wait_minutes:.10g} minutes; {len(outcome.runs)} runs of {site.days} days, "
        f"seed {outcome.seed}",
    ]


def _notes(outcome: Outcome, model: str) -> list[str]:
    site = outcome.site
    notes = [
        "Minutes from arrival to the end of the reading; mean of the runs, and in brackets where 95 of 100 runs lie.",
        "arrival: first in, first out, behind STAT. node: the order of `cxr-node worklist`. Same studies in both.",
    ]
    if model != STATED:
        notes.append("How good the model is at your site its card cannot know: try worse figures, too.")
    if site.load >= 1:
        notes.append("THE READERS CANNOT KEEP UP with what comes: every wait grows with the days that are simulated.")
    if (late := outcome.overdue("arrival")) >= _MANY:
        notes += [
            f"In the order of arrival {late:.0%} of the studies wait longer than {site.max_wait_minutes:.10g} minutes. "
            "While one that does is there,",
            "the model moves nothing past it: see what a larger --max-wait-minutes does.",
        ]
    return notes


def _cell(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "-"
    value, low, high = (round(found[name], 1) + 0.0 for name in ("value", "low", "high"))  # no -0.0
    return f"{value:.1f} ({low:.1f} to {high:.1f})"
