"""`make soak`, or `python -m tests.soak [PART [OPTIONS]]...`: the long runs behind docs/reliability.md.

Without a part all of them run, one after the other. With --write each takes the place of its section in that document.
"""

import shutil
import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.soak.faults import faults
from tests.soak.fuzzing import fuzzing
from tests.soak.kills import kills
from tests.soak.many import many_films
from tests.soak.outage import outage
from tests.soak.region import region
from tests.soak.report import Outcome, say, write

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


@click.group(chain=True, invoke_without_command=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where the nodes live; kept. Else a temporary folder.")
@click.option("--write", "write_down", is_flag=True, help="Put what was found into docs/reliability.md.")
@click.pass_context
def main(context: click.Context, folder: Path | None, write_down: bool) -> None:
    """Run the parts that are named, each with its options, or all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what stands is taken down
    context.obj = folder or Path(tempfile.mkdtemp(prefix="soak-"))
    say(f"in {context.obj}")


@main.command("films")
@click.option("--count", default=10_000, show_default=True, help="Films.")
@click.option("--minutes", default=60.0, show_default=True, help="Over which they are sent.")
@click.pass_obj
def films_(folder: Path, count: int, minutes: float) -> Outcome:
    """Many small films: memory, open files, threads and database flat."""
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


@main.command("region")
@click.option("--sites", default=10, show_default=True, help="Nodes, of 3 or more.")
@click.option("--studies", default=1000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.pass_obj
def region_(folder: Path, sites: int, studies: int, seed: int) -> Outcome:
    """Many nodes and a hub, some of them killed: one order for all, that of a single node."""
    return region(folder / "region", sites, studies, seed)


@main.command("fuzz")
@click.option("--minutes", default=60.0, show_default=True, help="For all targets together.")
@click.option("--seed", default=1, show_default=True)
@click.pass_obj
def fuzz_(folder: Path, minutes: float, seed: int) -> Outcome:
    """Every target of tests.fuzz, for long."""
    return fuzzing(folder / "fuzz", minutes, seed)


@main.command("faults")
def faults_() -> Outcome:
    """Every fault of tests/fault, as often as it takes to be sure."""
    return faults()


PARTS = (films_, kills_, outage_, region_, fuzz_, faults_)


@main.result_callback()
@click.pass_context
def finish(context: click.Context, outcomes: list[Outcome], folder: Path | None, write_down: bool) -> None:
    """Say what was found; the exit status is 1 where something is wrong."""
    command = " ".join(["python -m tests.soak", *sys.argv[1:]])
    failed = False
    for outcome in outcomes or (context.invoke(part) for part in PARTS):
        print("\n".join(["", f"## {outcome.title}", "", *outcome.lines]), flush=True)
        for failure in outcome.failures:
            print(f"FAILED: {failure}", file=sys.stderr)
        failed |= bool(outcome.failures)
        if write_down:
            write(outcome, DOCUMENT, command)
            if outcome.part == "films":
                shutil.copy(context.obj / "films" / "soak.png", DOCUMENT.parent / "images")
    sys.exit(failed)


main()
