"""The commands that judge what was trained: evaluate, compare, reproduce."""

import json
import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training import recipe as recipes
from training.files import write_bytes, write_text
from training.gate.recipe import is_gate_run
from training.options import (
    DATA,
    FOLDER,
    PLACE,
    data_option,
    device_named,
    device_option,
    limit_option,
    runs_option,
    weights_option,
)  # fmt: skip

if TYPE_CHECKING:
    from training.data import Film
    from training.explain import Method
    from training.subject import Subject

manifest_option = click.option(
    "--manifest", "--data", "data", type=DATA, required=True, envvar="CXR_TRAIN_DATA",
    help="A manifest CSV, or a folder in a known layout.",
)  # fmt: skip


@click.command()
@click.argument("subject", type=FOLDER, metavar="RUN_OR_MODEL")
@manifest_option
@click.option("--split", type=click.Choice(["val", "test"]), default="test", show_default=True, help="Films to read.")
@click.option("--out", type=PLACE, help="Where results.json and report.html go; a run's own folder where not given.")
@click.option(
    "--prevalence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="At which predictive values are given; else that of the films.",
)
@click.option(
    "--explain",
    type=click.Choice(["cam", "gradcam", "occlusion"]),
    help="Score the explanations too, and show ten films: explained.png.",
)
@click.option(
    "--annotations", type=FOLDER, help="With --explain: where lungs and findings are drawn (docs/training.md)."
)
@click.option(
    "--sample",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="With --explain: films for deletion, insertion and randomised weights.",
)
def evaluate(
    *,
    subject: Path,
    data: Path,
    split: str,
    out: Path | None,
    prevalence: float | None,
    explain: "Method | None",
    annotations: Path | None,
    sample: int,
) -> None:
    """Read films with a run's network or a released model's, and report on it.

    Example: cxr-train evaluate runs/000-cnn --manifest data/films.csv --out evaluation
    """
    from training.annotations import Annotations, read_annotations
    from training.evaluation import of_readings, read
    from training.explaining import explanation, inline
    from training.report import estimate, page
    from training.sources import read_films
    from training.subject import open_subject

    if is_gate_run(subject):
        from training.gate import steps

        click.echo(steps.evaluate(subject, read_films(data)))
        return
    opened, films = open_subject(subject), read_films(data)
    if out is None and not opened.runs:
        raise click.UsageError("A released model's folder is left as it is; say where the results go with --out.")
    place = out or subject
    readings = read(opened, films, split)
    found = of_readings(opened, films, readings, split=split, prevalence=prevalence, elsewhere=True)
    found |= _of_the_card(opened, films)
    picture, drawing = "", None
    if explain:
        drawn = read_annotations(annotations) if annotations else Annotations()
        found["explanation"], drawing = explanation(
            opened, readings, films, split, method=explain, annotations=drawn, most=sample
        )
        picture = inline(drawing)
    write_text(place / "results.json", json.dumps(found, indent=2) + "\n")
    write_text(place / "report.html", page(found, opened, picture))
    if drawing is not None:
        write_bytes(place / "explained.png", drawing)
    accuracy, count = estimate(found["accuracy"]), found["data"]["films"]
    click.echo(f"{opened.name}: accuracy {accuracy} on {count} films; {place / 'report.html'}. {found['note']}".strip())


def _of_the_card(subject: "Subject", films: "list[Film]") -> dict[str, Any]:
    """Of a calibrated run that may become a model of the node, what its card reports too."""
    from training.results import evaluate as for_card

    recipe = subject.recipe
    if recipe.classes or not recipe.data.shares or not subject.runs or not subject.runs[0].has_calibration:
        return {}
    return for_card(subject.runs[0], films)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER, metavar="RUN...")
@data_option
@click.option(
    "--sensitivity",
    type=click.FloatRange(0, 1, min_open=True),
    help="Positive from where so many of the validation films with the finding are; else from the run's threshold.",
)
@click.option("--together", is_flag=True, help="Judge them as one, an ensemble: by the mean of their probabilities.")
def hospitals(*, runs: tuple[Path, ...], data: Path, sensitivity: float | None, together: bool) -> None:
    """What calibrated runs make of hospitals that gave them no training film; no test film is read.

    Example: cxr-train hospitals runs/without-nih runs/without-kermany --data data/films.csv
    """
    from training.hospitals import elsewhere, table
    from training.run import Run
    from training.sources import read_films

    films, found = read_films(data), {}
    if together:
        first, *others = (Run(folder) for folder in runs)
        found["together"] = elsewhere(first, films, sensitivity, beside=others)
    else:
        for folder in runs:
            run = Run(folder)
            found[folder.name] = elsewhere(run, films, sensitivity)
            run.keep_elsewhere(found[folder.name])
    click.echo(table(found))


@click.command()
@click.argument("first")
@click.argument("second")
@manifest_option
@click.option("--split", type=click.Choice(["val", "test"]), default="test", show_default=True, help="Films to read.")
@click.option("--out", type=PLACE, help="Where comparison.json goes.")
def compare(*, first: str, second: str, data: Path, split: str, out: Path | None) -> None:
    """Compare two runs or models on the same films; several seeds of one are folders with commas between them.

    Example: cxr-train compare runs/a-1,runs/a-2 runs/b-1,runs/b-2 --manifest data/films.csv
    """
    from training.compare import compare as find_differences
    from training.compare import sides
    from training.report import estimate
    from training.sources import read_films
    from training.subject import open_subject

    groups = [[open_subject(Path(folder)) for folder in group.split(",")] for group in (first, second)]
    found = find_differences(*sides(groups[0], groups[1], read_films(data), split))
    if out:
        write_text(out / "comparison.json", json.dumps(found, indent=2) + "\n")
    click.echo(f"{found['films']} films of {found['patients']} patients; {', '.join(found['classes'])}")
    for side in (found["first"], found["second"]):
        spread = "" if side["spread"] is None else f", {side['spread']:.4f} between seeds"
        click.echo(f"{' '.join(side['runs'])}: accuracy {estimate(side['accuracy'])}{spread}")
    click.echo(f"difference of accuracy {estimate(found['difference']['accuracy'])}")
    for name, difference in found["difference"]["roc_auc"].items():
        click.echo(f"difference of the area under the ROC curve, {name}: {estimate(difference)}")
    for pair in found["pairs"]:
        only = pair["mcnemar"]
        click.echo(
            f"{pair['first']} against {pair['second']}: {only['first_only']} films right by the first alone, "
            f"{only['second_only']} by the second alone (McNemar p = {only['p']:.3g})"
        )
        for name, areas in pair["delong"].items():
            click.echo(f"  {name}: area {areas['first']:.4f} and {areas['second']:.4f} (DeLong p = {areas['p']:.3g})")


@click.command()
@click.argument("names", nargs=-1, metavar="[RECIPE]...")
@data_option
@weights_option
@runs_option
@click.option("--out", type=PLACE, required=True, help="Where reproduction.md and reproduction.json go.")
@limit_option
@click.option("--epochs", type=click.IntRange(0), help="At most so many epochs of each system.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0),
    help="After so many no further epoch of a system is begun; a later call goes on.",
)
@click.option(
    "--variants",
    type=click.IntRange(1),
    help="Frozen networks: compute features once, of so many random changes of each film.",
)
@click.option("--only-table", is_flag=True, help="Train nothing; make the table of what is there.")
@device_option
def reproduce(
    *,
    names: tuple[str, ...],
    data: Path,
    weights: Path,
    runs: Path,
    out: Path,
    limit: int | None,
    epochs: int | None,
    minutes: float | None,
    variants: int | None,
    only_table: bool,
    device: str,
) -> None:
    """Train and evaluate the systems of the five documents, and make the table of their figures and ours.

    What is done is not done again, what was cut off goes on. The table has a row for every system, or for each RECIPE;
    one that --out has already keeps its rows of systems with no run here.

    Example: cxr-train reproduce 000-cnn 003-xception --data data --out docs --minutes 30 --variants 4
    """
    from training.reproduce import Bench, Budget, in_order
    from training.reproduce import reproduce as train_all
    from training.sources import read_films
    from training.table import as_json, earlier, joined, markdown, rows

    documents = [name for name, path in recipes.shipped().items() if recipes.load(path).published]
    wanted, failed, before = in_order(names or documents), {}, earlier(out / "reproduction.json")
    if not only_table:
        budget = Budget(limit, epochs, minutes, variants)
        failed = train_all(wanted, Bench(read_films(data), weights, runs, budget, device_named(device), click.echo))
    table = joined(rows(wanted, runs, failed), before, in_order(documents) | wanted)
    facts = {
        "made": datetime.now(UTC).date().isoformat(),
        "by": f"{os.cpu_count()} CPU cores, torch {version('torch')}",
    }
    write_text(out / "reproduction.json", json.dumps(as_json(table, facts), indent=2) + "\n")
    write_text(out / "reproduction.md", markdown(table, facts))
    click.echo(
        f"{out / 'reproduction.md'}: {len(table)} rows, {sum(row.ours is not None for row in table)} with a figure."
    )


COMMANDS = (evaluate, hospitals, compare, reproduce)
