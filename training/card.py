"""The model card: a text with places for the figures, filled from the results of a run."""

from collections.abc import Mapping
from string import Template
from typing import Any

from cxr_node.domain.finding import Cutoffs
from cxr_node.errors import ConfigError
from cxr_node.inference.calibration import Calibration
from training import hospitals


def fill(
    template: str,
    results: Mapping[str, Any],
    calibration: Calibration,
    points: Cutoffs,
    folds: Mapping[str, Mapping[str, Any]],
) -> str:
    """The card's Markdown; the template may use $test, $kind, $unseen, $shortcuts, $threshold, $high and $hospitals.

    The last is of `folds`: what runs without a source made of it, by the run's name.

    Raises:
        ConfigError: the template asks for something else.
    """
    values = {
        "test": _scores(results["test"]),
        "kind": _scores({"bacterial against viral": results["kind"]}),
        "unseen": _unseen(results["unseen"]),
        "shortcuts": _shortcuts(results["shortcuts"]),
        "hospitals": hospitals.table(folds),
        "threshold": f"{points.threshold:.3f}",
        "high": f"{points.high:.3f}",
        "calibration": (
            f"log-odds = {calibration.finding_scale:.3f} x logit {calibration.finding_bias:+.3f} for pneumonia, "
            f"{calibration.kind_scale:.3f} x logit {calibration.kind_bias:+.3f} for bacterial"
        ),
    }
    try:
        return Template(template).substitute(values)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"The model card's template cannot be filled: {error}.") from error


def _table(head: list[str], rows: list[list[str]]) -> str:
    ruled = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


def _estimate(found: Mapping[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _scores(groups: Mapping[str, Mapping[str, Any]]) -> str:
    figures = ("auc", "accuracy", "sensitivity", "specificity", "brier")
    rows = [
        [
            name,
            f"{found['films']} ({found['positives']})",
            str(found["patients"]),
            *(_estimate(found[figure]) for figure in figures),
            f"{found['ece_before']:.3f} / {found['ece']['value']:.3f} / {found['ece_expected']:.3f}",
        ]
        for name, found in groups.items()
    ]
    head = ["films", "n (positive)", "patients", "AUC", "accuracy", "sensitivity", "specificity", "Brier"]
    return _table([*head, "ECE before / after / by chance"], rows)


def _unseen(groups: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [[name, str(found["films"]), _estimate(found["positive"])] for name, found in groups.items()]
    return _table(["source, label", "films", "share called positive"], rows)


def _shortcuts(groups: Mapping[str, Mapping[str, float | None]]) -> str:
    def shown(value: float | None) -> str:
        return "one view only" if value is None else f"{value:.3f}"

    rows = [[name, shown(found["thumbnail_auc"]), shown(found["view_auc"])] for name, found in groups.items()]
    return _table(["source", "AUC of 32 x 32 pixels", "AUC of the view alone"], rows)
