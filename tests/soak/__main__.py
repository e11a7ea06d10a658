"""`make soak`, or `python -m tests.soak [PART [OPTIONS]]...`: the long runs behind docs/reliability.md.

Without a part all of them run, one after the other. --write puts what they found into that document.
"""

import sys
import tempfile
from pathlib import Path

import click

from tests.soak.kills import kills
from tests.soak.many import many_films
from tests.soak.outage import outage
from tests.soak.report import Outcome, say


@click.group(chain=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where the nodes live; kept. Else a temporary folder.")
@click.pass_context
def main(context: click.Context, folder: Path | None) -> None:
    context.obj = folder or Path(tempfile.mkdtemp(prefix="soak-"))
    say(f"in {context.obj}")


@main.command()
@click.option("--count", default=10_000, show_default=True)
@click.option("--minutes", default=60.0, show_default=True)
@click.pass_obj
def films(folder: Path, count: int, minutes: float) -> Outcome:
    """Many small films: memory, files, threads and database flat."""
    return many_films(folder / "films", count, minutes)


@main.command("kills")
@click.option("--count", default=1000, show_default=True, help="Films.")
@click.option("--every", default=5.0, show_default=True, help="Seconds between two kills, on average.")
@click.option("--pace", default=1.2, show_default=True, help="Seconds between two films.")
@click.option("--seed", default=11112, show_default=True)
@click.pass_obj
def kills_(folder: Path, count: int, every: float, pace: float, seed: int) -> Outcome:
    """kill -9 every few seconds: nothing lost, nothing twice."""
    return kills(folder / "kills", count, every, pace, seed)


@main.command("outage")
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--pace", default=6.0, show_default=True, help="Seconds between two films.")
@click.pass_obj
def outage_(folder: Path, minutes: float, pace: float) -> Outcome:
    """A PACS that is away: everything arrives when it is back."""
    return outage(folder / "outage", minutes, pace)


@main.result_callback()
def finish(outcomes: list[Outcome], folder: Path | None) -> None:
    for outcome in outcomes:
        print("\n".join(outcome.lines))
        for failure in outcome.failures:
            print(f"FAILED: {failure}", file=sys.stderr)
    sys.exit(any(outcome.failures for outcome in outcomes))


main()
