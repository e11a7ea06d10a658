"""`cxr-train screen`: the levers of a screen tried and put side by side."""

from pathlib import Path

import click

from training.files import write_text
from training.options import PLACE, data_option, device_named, device_option, runs_option, weights_option


@click.command()
@click.argument("name")
@data_option
@weights_option
@runs_option
@click.option("--out", type=PLACE, required=True, help="Where NAME.md and NAME.json go.")
@click.option("--only", multiple=True, metavar="LEVER", help="A lever to try; all where none is named.")
@click.option("--whole", is_flag=True, help="Runs of as many epochs as the recipe has, instead of short ones.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Runs of each, by other seeds.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Runs at a time.")
@click.option("--only-table", is_flag=True, help="Train nothing; make the table of what is there.")
@device_option
def screen(
    *,
    name: str,
    data: Path,
    weights: Path,
    runs: Path,
    out: Path,
    only: tuple[str, ...],
    whole: bool,
    seeds: int,
    jobs: int,
    only_table: bool,
    device: str,
) -> None:
    """Try the levers of the screen NAME, each without each hospital in turn; no test film is read.

    Example: cxr-train screen next-hospital --data data --out screens --only mixup-across-hospitals
    """
    from training import screen as screens
    from training import screened

    wanted = screens.find(name)
    levers = screens.chosen(wanted, only)
    length = screens.Length(None if whole else wanted.epochs, seeds)
    folder = runs / Path(name).stem
    if not only_table:
        bench = screens.Bench(data, weights, folder, device_named(device))
        screens.pull(wanted, levers, length, bench, jobs=jobs, echo=click.echo)
    rows = screened.table(wanted, levers, length, folder)
    write_text(out / f"{Path(name).stem}.json", screened.as_json(wanted, rows, length))
    write_text(out / f"{Path(name).stem}.md", screened.markdown(rows))
    click.echo(screened.markdown(rows))
