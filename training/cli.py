"""`cxr-train`: look at data and train; what follows is in `judging` and `releasing`, each a step of one run folder."""

import json
import os
import sys
from pathlib import Path

import click

from cxr_node.errors import CxrNodeError
from cxr_node.inference.memory import keep_freed_memory
from training import judging, releasing
from training import recipe as recipes
from training.about import Published
from training.gate import recipe as gates
from training.options import (
    DATA,
    PLACE,
    data_option,
    device_named,
    device_option,
    limit_option,
    processes,
    runs_option,
    scratch_option,
    weights_option,
)
from training.run import Run
from training.screening import screen


@click.group()
@click.pass_context
def commands(context: click.Context) -> None:
    """Make a model from labelled chest films."""
    if processes() > 1 and context.invoked_subcommand != train.name:
        raise click.UsageError(
            f"{context.invoked_subcommand} is no work for several processes; run it without torchrun."
        )
    keep_freed_memory()


for _command in (*judging.COMMANDS, *releasing.COMMANDS, screen):
    commands.add_command(_command)


@commands.command("list")
@runs_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_recipes(runs: Path, as_json: bool) -> None:
    """Show the recipes: document, system, the document's figure and ours."""
    rows = [_row(name, recipes.load(path).published, Run(runs / name)) for name, path in recipes.shipped().items()]
    rows += [_row(name, None, Run(runs / name)) for name in gates.shipped()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        theirs, ours = (
            "none" if row[key] is None else f"{row[key]:.4f}" for key in ("documents_accuracy", "our_accuracy")
        )
        click.echo(f"{row['recipe']:34} {row['document']:4} {theirs:>7} {ours:>7}  {row['system']}")


def _row(name: str, published: Published | None, run: Run) -> dict[str, str | float | None]:
    return {
        "recipe": name,
        "document": published.document if published else "ours",
        "system": published.system if published else "",
        "documents_accuracy": published.figure if published else None,
        "our_accuracy": run.accuracy(),
    }


@commands.command()
@click.argument("recipe")
@data_option
@weights_option
@scratch_option
@runs_option
@click.option("--run", "directory", type=PLACE, help="The folder of this run; else that of RECIPE's name in --runs.")
@click.option("--resume", is_flag=True, help="Go on with the run that the folder holds.")
@limit_option
@click.option("--epochs", type=click.IntRange(0), help="At most so many epochs.")
@click.option("--seed", type=int, help="In place of the recipe's.")
@click.option("--without", metavar="SOURCE", help="Leave the films of a source out, as a hospital never seen.")
@device_option
def train(
    *,
    recipe: str,
    data: Path,
    weights: Path,
    from_scratch: bool,
    runs: Path,
    directory: Path | None,
    resume: bool,
    limit: int | None,
    epochs: int | None,
    seed: int | None,
    without: str | None,
    device: str,
) -> None:
    """Train RECIPE, by name or path; killed at any point, --resume comes to the same result.

    Example: cxr-train train 000-cnn --data data/chest_xray --limit 64 --epochs 1

    On several graphics cards: torchrun --nproc-per-node 4 -m training train 000-cnn --data data/chest_xray
    """
    from training.fit import fit, starting_file
    from training.ranks import launched
    from training.sources import read_films

    if recipe in gates.shipped():
        from training.gate import steps

        if processes() > 1:
            raise click.UsageError(f"{recipe} is trained in one process, in minutes; run it without torchrun.")
        steps.train(recipe, read_films(data), directory or runs / recipe, weights)
        return
    name, wanted = recipes.find(recipe)
    wanted = wanted if seed is None else wanted.changed({"seed": seed})
    wanted = wanted if without is None else wanted.without(without)
    run = Run(directory or runs / name)
    if run.checkpoint.exists() and not resume:
        raise click.UsageError(f"{run.directory} holds a run already; go on with --resume, or name another folder.")
    if wanted.search:
        raise click.UsageError(f"{name} is a search over variants: cxr-train search {name}")
    before = Run(runs / wanted.starts_from) if wanted.starts_from and not from_scratch else None
    public = bool(wanted.weights_sha256) and before is None and not from_scratch
    start = starting_file(wanted, weights) if public else None
    films, place = read_films(data), device_named(device)
    with launched(place) as ranks:
        fit(
            wanted, films, run,
            name=name, start=start, before=before, limit=limit, epochs=epochs, device=place, ranks=ranks,
        )  # fmt: skip


@commands.command()
@click.argument("recipe")
@data_option
@runs_option
@click.option(
    "--budget", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Minutes; then no new variant."
)
@limit_option
@device_option
def search(*, recipe: str, data: Path, runs: Path, budget: float, limit: int | None, device: str) -> None:
    """Train variants of RECIPE until the budget is spent, and rank them on validation films."""
    from training.search import search as try_variants
    from training.sources import read_films

    name, wanted = recipes.find(recipe)
    found = try_variants(
        wanted, read_films(data), runs / name, minutes=budget, limit=limit, device=device_named(device), echo=click.echo
    )
    for tried in found:
        click.echo(f"{tried.accuracy:.4f}  {tried.changes}")


@commands.command("data")
@click.argument("source", type=DATA)
@click.option("--out", type=PLACE, help="Write the films as a manifest CSV.")
@click.option("--deal", help="Deal patients out anew over train:val:test, as 70:15:15.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of dealing them out.")
@click.option("--yardstick/--no-yardstick", default=True, help="What size, source and a thumbnail give away.")
def survey(*, source: Path, out: Path | None, deal: str | None, seed: int, yardstick: bool) -> None:
    """Report on SOURCE, a manifest or a folder: counts, sizes, duplicates, disagreements, shortcuts."""
    from training.data import check_splits, write_manifest
    from training.sources import read_unsplit
    from training.splits import deal as deal_out
    from training.survey import report

    films = read_unsplit(source)
    if deal:
        films = deal_out(films, _parts(deal), seed)
    check_splits(films)
    if out:
        write_manifest(films, out)
    click.echo(report(films, yardstick))


@commands.command()
@click.argument("source", type=DATA)
@click.option("--out", type=PLACE, required=True, help="The folder to write.")
@click.option("--size", type=click.IntRange(16), default=224, show_default=True, help="Longest side in pixels.")
@click.option("--megabytes", type=click.FloatRange(min=0.1, max=50), default=50, show_default=True, help="At most.")
@click.option("--only", multiple=True, help="A source to take; all where none is named.")
def pack(*, source: Path, out: Path, size: int, megabytes: float, only: tuple[str, ...]) -> None:
    """Write the films of SOURCE small, to carry to another machine: JPEG files and a manifest."""
    from training.pack import pack as write_pack
    from training.sources import read_films

    films = [film for film in read_films(source) if not only or film.source in only]
    click.echo(write_pack(films, out, size, int(megabytes * 2**20)))


def _parts(text: str) -> dict[str, float]:
    try:
        train, val, test = (float(part) for part in text.split(":"))
        total = train + val + test
        return {"train": train / total, "val": val / total, "test": test / total}
    except (ValueError, ZeroDivisionError) as error:
        raise click.BadParameter(f"{text!r} is not three numbers, as 70:15:15", param_hint="--deal") from error


def main() -> None:
    """Run a command; a foreseen failure ends with its sentence on standard error and status 1."""
    try:
        commands()
    except CxrNodeError as error:
        if processes() == 1:
            click.echo(f"cxr-train: {error.message}", err=True)
            sys.exit(1)
        click.echo(f"cxr-train (process {os.environ['RANK']} of {processes()}): {error.message}", err=True)
        os._exit(1)  # threads that still wait for the other processes would hold up the end, or abort it
