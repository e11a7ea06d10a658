"""The levers of a screen put side by side, from the runs that are done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.run import Run
from training.screen import ALL, Length, Lever, Screen, trials


@dataclass(frozen=True, slots=True)
class _Fold:
    """A run on films of the hospital that it was trained without, and on validation films of those it learned from."""

    area: float
    specificity: float
    learned: Mapping[str, float]


def table(screen: Screen, levers: Sequence[Lever], length: Length, folder: Path) -> list[dict[str, Any]]:
    """Of each lever, ready for JSON: figures of the hospital left out, its own validation, and films elsewhere.

    Each figure is the mean over seeds; `spread` is the standard deviation of the areas between them, None of one. What
    the runs without a hospital make of validation films of the others stands beside, as `learned_from_auc`.
    """
    return [_row(screen, lever, length, folder) for lever in levers]


def _row(screen: Screen, lever: Lever, length: Length, folder: Path) -> dict[str, Any]:
    folds: dict[str, list[_Fold]] = {name: [] for name in screen.hospitals}
    own: dict[str, list[float]] = {name: [] for name in screen.hospitals}
    called: dict[str, list[float]] = {}
    seconds = 0.0
    for trial in trials(screen, lever, length):
        run = Run(folder / trial.folder)
        if not run.tried_elsewhere:
            continue
        seconds += sum(entry["seconds"] for entry in run.history())
        found, last = run.elsewhere(), run.history()[-1]
        if trial.left_out != ALL:
            there = found[trial.left_out]
            if there["roc_auc"] is not None:  # the hospital has films enough
                learned = {name: last[name] for name in screen.hospitals if name != trial.left_out}
                at = there["specificity_at"]["0.8"]["value"]
                folds[trial.left_out].append(_Fold(there["roc_auc"]["value"], at, learned))
            continue
        for name in screen.hospitals:
            own[name].append(last[name])
        for source, figures in found.items():
            for label, each in figures["called"].items():
                called.setdefault(f"{source}, {label}", []).append(each["positive"]["value"])
    return {
        "lever": lever.name,
        "changes": lever.changes,
        "needs_both": lever.both,
        "minutes": round(seconds / 60, 1),
        "left_out": {name: _figures(found) for name, found in folds.items()},
        "own_validation_auc": {name: _mean(values) for name, values in own.items()},
        "called_positive": {name: _mean(values) for name, values in called.items()},
    }


def _figures(found: Sequence[_Fold]) -> dict[str, Any] | None:
    if not found:
        return None
    areas = [each.area for each in found]
    return {
        "runs": len(found),
        "auc": _mean(areas),
        "spread": float(np.std(areas, ddof=1)) if len(areas) > 1 else None,
        "specificity_at_0.8": _mean([each.specificity for each in found]),
        "learned_from_auc": {name: _mean([each.learned[name] for each in found]) for name in found[0].learned},
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table as a page has it."""
    hospitals = list(rows[0]["left_out"])
    shown = sorted({name for row in rows for name in row["called_positive"]})
    head = ["lever", *(f"{name} left out: AUC, specificity at 0.8 (own validation AUC)" for name in hospitals)]
    head += [f"{name}, own validation AUC" for name in hospitals] + [f"called positive: {name}" for name in shown]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = [row["lever"], *(_fold(row["left_out"][name], row["needs_both"]) for name in hospitals)]
        cells += [_cell(row["own_validation_auc"][name]) for name in hospitals]
        cells += [_cell(row["called_positive"].get(name)) for name in shown]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _fold(found: Mapping[str, Any] | None, needs_both: bool) -> str:
    if found is None:
        return "needs both" if needs_both else "not run"
    spread = "" if found["spread"] is None else f" ± {found['spread']:.3f}"
    learned = ", ".join(_cell(area) for area in found["learned_from_auc"].values())
    return f"{_cell(found['auc'])}{spread}, {_cell(found['specificity_at_0.8'])} ({learned})"


def _cell(value: float | None) -> str:
    return "not run" if value is None else f"{value:.3f}"


def as_json(screen: Screen, rows: Sequence[dict[str, Any]], length: Length) -> str:
    """The same for programs."""
    content = {"recipe": screen.recipe, "epochs": length.epochs, "seeds": length.seeds, "levers": rows}
    return json.dumps(content, indent=2) + "\n"
