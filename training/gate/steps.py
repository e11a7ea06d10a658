"""The steps from a recipe of the gate to its model folder, as the commands take them."""

from collections.abc import Sequence
from pathlib import Path

from training.data import Film
from training.gate.evaluate import evaluate as find_results
from training.gate.export import export as write_model
from training.gate.fit import GateRun, fit
from training.gate.recipe import load, shipped
from training.networks import NETWORKS


def train(recipe: str, films: Sequence[Film], directory: Path, weights: Path) -> None:
    """Train the shipped recipe of this name; `weights` is the public file, or the folder that it is in."""
    public = NETWORKS["efficientnet_lite0"].public
    file = weights / public.file if public and not weights.is_file() else weights
    fit(load(shipped()[recipe]), films, GateRun(directory), file)


def evaluate(directory: Path, films: Sequence[Film]) -> str:
    """Keep the figures of a finished run in its folder; what became of laterals and of sound films, in a line each."""
    run = GateRun(directory)
    run.keep_results(find_results(run, films))
    return "\n".join(
        f"{name}: {found['refused']['count']} of {found['refused']['of']} refused, {found['flagged']['count']} flagged"
        for name, found in run.results()["films"].items()
    )


def export(directory: Path, model: Path, card: Path) -> str:
    """Write a run as a model folder; the folder and its digest."""
    written = write_model(model, GateRun(directory), card.read_text(encoding="utf-8"))
    return f"{written.directory}: {written.digest}"
