"""report.html: the results of an evaluation as one page that needs nothing beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from training import plots
from training.subject import Subject

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def page(found: Mapping[str, Any], subject: Subject, explained: str = "") -> str:
    """The page of results as `evaluate` finds them, with the curves of the runs; `explained` is HTML to go with it."""
    drawn = {
        name: {
            "confusion": plots.confusion(question["confusion"], question["classes"]),
            "areas": plots.areas(question["by_class"]),
            "reliability": plots.reliability(question["before"], question.get("after")),
        }
        for name, question in found["questions"].items()
    }
    histories = {run.directory.name: plots.history(run.history()) for run in subject.runs if run.epochs_done}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["estimate"] = estimate
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(found=found, plots=drawn, histories=histories, explained=explained)


def estimate(figure: Mapping[str, float | None]) -> str:
    """A figure with its interval, as people write it."""
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "not measurable"
    if low is None or high is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
