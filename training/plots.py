"""The plots of a report, as SVG that a page can hold."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "font.size": 9, "axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False,
    "svg.fonttype": "none", "svg.hashsalt": "cxr",
}  # fmt: skip
SIDE = 3.4
"""Inches of a panel."""


def areas(classes: Mapping[str, Mapping[str, Any]]) -> str:
    """ROC and precision-recall curves, one line for each class that is told from the rest."""
    with mpl.rc_context(STYLE):
        figure, (roc, precision) = _panels(2)
        for name, found in classes.items():
            curve = found["curve"]
            false = [1 - each for each in curve["specificity"]]
            roc.plot(false, curve["sensitivity"], label=f"{name}: {found['roc_auc']['value']:.3f}")
            precision.step(
                curve["sensitivity"], curve["precision"], where="pre", label=f"{name}: {found['pr_auc']['value']:.3f}"
            )
            for point in found.get("points", []):
                roc.plot(1 - point["specificity"]["value"], point["sensitivity"]["value"], "ko", markersize=4)
        roc.plot([0, 1], [0, 1], color="grey", linewidth=0.7)
        _name(roc, "ROC, area", "1 - specificity", "sensitivity")
        _name(precision, "Precision and recall, area", "sensitivity (recall)", "precision (PPV)")
        return _svg(figure)


def confusion(counts: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """The confusion matrix, shaded by the share of each true class."""
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure, (axes,) = _panels(1)
        shares = [[count / max(1, sum(row)) for count in row] for row in counts]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, line in enumerate(counts):
            for column, count in enumerate(line):
                colour = "white" if shares[row][column] > 0.5 else "black"
                axes.text(column, row, f"{count}\n{shares[row][column]:.0%}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(names)), names, rotation=20)
        axes.set_yticks(range(len(names)), names)
        _name(axes, "Confusion", "called", "true", legend=False)
        return _svg(figure)


def reliability(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> str:
    """How often what was said with a probability came true, before and after calibration; dots grow with films."""
    with mpl.rc_context(STYLE):
        figure, (axes,) = _panels(1)
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.7)
        for label, found in (("before calibration", before), ("after", after)):
            if found:
                bins = found["reliability"]
                said, true = [each["probability"] for each in bins], [each["frequency"] for each in bins]
                lines = axes.plot(said, true, label=f"{label}: {found['ece']['value']:.3f}")
                sizes = [4 + 2 * each["films"] ** 0.5 for each in bins]
                axes.scatter(said, true, s=sizes, color=lines[0].get_color())
        _name(axes, "Reliability, calibration error", "probability", "frequency")
        return _svg(figure)


def history(entries: Sequence[Mapping[str, float]]) -> str:
    """Loss and accuracy of training and validation, one point an epoch."""
    with mpl.rc_context(STYLE):
        figure, panels = _panels(2)
        for axes, what in zip(panels, ("loss", "accuracy"), strict=True):
            for name in (what, f"validation {what}"):
                points = [(entry["epoch"], entry[name]) for entry in entries if name in entry]
                axes.plot(*zip(*points, strict=True), marker=".", label=name.replace(what, "").strip() or "training")
            _name(axes, what.capitalize(), "epoch", "")
        return _svg(figure)


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(SIDE * count + 0.4, SIDE), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)
    return figure, axes[0]


def _name(axes: Axes, title: str, across: str, up: str, *, legend: bool = True) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    if legend:
        axes.legend(frameon=False, fontsize=8)


def _svg(figure: Figure) -> str:
    """The picture without what is only for files: declaration, date."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = out.getvalue()
    return text[text.index("<svg") :]
