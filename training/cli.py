"""`cxr-train`: train, calibrate, evaluate and export, each a step of one run folder."""

import json
import sys
from pathlib import Path

import click

from cxr_node.errors import CxrNodeError
from training import recipe as recipes
from training.calibrate import calibrate as find_calibration
from training.calibrate import operating_points
from training.card import fill
from training.data import read_manifest, trainable
from training.export import export as write_model
from training.fit import fit, logits_of
from training.results import calibrated
from training.results import evaluate as find_results
from training.run import Run

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
RUN = click.Path(file_okay=False, path_type=Path)


@click.group()
def commands() -> None:
    """Make a model from labelled chest films."""


@commands.command()
@click.argument("recipe", type=FILE)
@click.option("--data", type=FOLDER, required=True, help="Folder with manifest.csv and the films it names.")
@click.option("--weights", type=FILE, required=True, help="The public weights that the recipe starts from.")
@click.option("--run", "directory", type=RUN, required=True, help="Folder of this run.")
@click.option("--resume", is_flag=True, help="Go on with the run that the folder holds.")
def train(recipe: Path, data: Path, weights: Path, directory: Path, resume: bool) -> None:
    """Train RECIPE's network; killed at any point, --resume comes to the same result."""
    run = Run(directory)
    if run.checkpoint.exists() and not resume:
        raise click.UsageError(f"{directory} holds a run already; go on with --resume, or name another folder.")
    fit(recipes.load(recipe), read_manifest(data), weights, run)


@commands.command()
@click.argument("run", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Folder with manifest.csv and the films it names.")
def calibrate(run: Path, data: Path) -> None:
    """Calibrate RUN and choose its operating points, on validation films."""
    kept = Run(run)
    films = trainable(read_manifest(data), kept.recipe().data.shares, "val")
    logits = logits_of(kept.network(), films, kept.recipe().size)
    calibration = find_calibration(films, logits)
    probabilities = calibrated(logits[:, 0], calibration.finding_scale, calibration.finding_bias)
    kept.keep_calibration(calibration, operating_points(films, probabilities))
    click.echo(f"{calibration}\n{kept.calibration()[1]}")


@commands.command()
@click.argument("run", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Folder with manifest.csv and the films it names.")
def evaluate(run: Path, data: Path) -> None:
    """Read the test films with RUN's calibrated network and keep the figures."""
    kept = Run(run)
    kept.keep_results(find_results(kept, read_manifest(data)))
    click.echo(json.dumps(kept.results(), indent=2))


@commands.command()
@click.argument("run", type=FOLDER)
@click.option("--name", required=True, help="The model's name.")
@click.option("--version", required=True, help="The model's version, as 1.0.0.")
@click.option("--card", type=FILE, required=True, help="The model card, with places for the figures.")
@click.option("--models", type=RUN, default=Path("models"), show_default=True, help="The folder of models.")
def export(run: Path, name: str, version: str, card: Path, models: Path) -> None:
    """Write RUN as the model NAME VERSION."""
    kept = Run(run)
    calibration, points = kept.calibration()
    results = kept.results()
    documents = {
        "docs/README.md": fill(card.read_text(encoding="utf-8"), results, calibration, points),
        "docs/results.json": json.dumps(results, indent=2) + "\n",
    }
    model = write_model(
        models / name / version,
        kept.recipe(),
        kept.state(),
        calibration=calibration,
        points=points,
        documents=documents,
    )
    click.echo(f"{model.directory}: {model.digest}")


def main() -> None:
    """Run a command; a foreseen failure ends with its sentence on standard error and status 1."""
    try:
        commands()
    except CxrNodeError as error:
        click.echo(f"cxr-train: {error.message}", err=True)
        sys.exit(1)
