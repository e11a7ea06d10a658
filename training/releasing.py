"""The commands that make a model of a run: calibrate, export, agree."""

import json
from pathlib import Path

import click

from cxr_node.errors import ConfigError
from cxr_node.inference.manifest import Manifest
from training.gate import recipe as gates
from training.options import FILE, FOLDER, PLACE, data_option
from training.run import Run


@click.command()
@click.argument("run", type=FOLDER)
@data_option
def calibrate(run: Path, data: Path) -> None:
    """Calibrate RUN and choose its operating points, on validation films."""
    from training.calibrating import calibrate_run
    from training.sources import read_films

    kept = Run(run)
    calibrate_run(kept, read_films(data))
    for each in kept.calibrated():
        click.echo(each)


@click.command()
@click.argument("run", type=FOLDER)
@click.option("--name", required=True, help="The model's name.")
@click.option("--version", required=True, help="The model's version, as 1.0.0.")
@click.option("--card", type=FILE, required=True, help="The model card, with places for the figures.")
@click.option("--fold", "folds", type=FOLDER, multiple=True, help="A run without a source, of which `hospitals` told.")
@click.option("--models", type=PLACE, default=Path("models"), show_default=True, help="The folder of models.")
def export(*, run: Path, name: str, version: str, card: Path, folds: tuple[Path, ...], models: Path) -> None:
    """Write RUN as the model NAME VERSION. The card of a recipe with classes of its own is taken as it is."""
    from training.card import fill
    from training.export import export as write_model

    if gates.is_gate_run(run):
        from training.gate import steps

        click.echo(steps.export(run, models / name / version, card))
        return
    kept = Run(run)
    calibration, points = kept.calibrated()
    text = card.read_text(encoding="utf-8")
    without = {fold.name: Run(fold).elsewhere() for fold in folds}
    if not kept.recipe().classes:
        text = fill(text, kept.results(), *kept.calibration(), without)
    documents: dict[str, str | bytes] = {"docs/README.md": text}
    if without:
        documents["docs/hospitals.json"] = json.dumps(without, indent=2) + "\n"
    if kept.explained.is_file():
        documents["docs/explained.png"] = kept.explained.read_bytes()
    if kept.evaluated:
        documents["docs/results.json"] = json.dumps(kept.results(), indent=2) + "\n"
    model = write_model(
        models / name / version,
        kept.recipe(),
        kept.state(),
        calibration=calibration,
        points=points,
        documents=documents,
    )
    click.echo(f"{model.directory}: {model.digest}")
    _say_agreement(model)


@click.command()
@click.argument("models", nargs=-1, required=True, type=FOLDER)
def agree(*, models: tuple[Path, ...]) -> None:
    """Measure whether OpenVINO computes what torch does, and record it in the folders of MODELS.

    Example: cxr-train agree models/cxr-pneumonia/2.0.0
    """
    from cxr_node.inference.manifest import load

    for folder in models:
        if not _say_agreement(load(folder)):
            raise click.exceptions.Exit(1)


def _say_agreement(model: Manifest) -> bool:
    """Whether a model may be served with OpenVINO, measured and recorded where it is installed."""
    from cxr_node.inference.agreement import TOLERANCE
    from training.agree import agree as measure

    try:
        found = measure(model)
    except ConfigError as error:
        click.echo(f"{model.called}: no record of OpenVINO: {error.message}", err=True)
        return False
    served = "is" if found.logits <= TOLERANCE else "is not"
    click.echo(
        f"{model.called}: OpenVINO {found.version} {served} served: a logit differs by up to {found.logits:.1e} "
        f"({found.films} films; served up to {TOLERANCE:g})"
    )
    return found.logits <= TOLERANCE


COMMANDS = (calibrate, export, agree)
