"""`python -m tests.fuzz [TARGET...] --seconds N | --inputs N --seed S`: run targets, and say what was found."""

import signal
import sys
from pathlib import Path

import click

from tests.fuzz.targets import TARGETS
from tests.fuzz.watch import Summary, run


@click.command()
@click.argument("names", metavar="[TARGET]...", nargs=-1, type=click.Choice(list(TARGETS)))
@click.option("--inputs", type=int, help="How many for each target.")
@click.option("--seconds", type=float, help="How long for each target; 10 where neither is given.")
@click.option("--seed", default=1, show_default=True)
@click.option("--findings", default="runs/fuzz", type=click.Path(path_type=Path), help="Where inputs that found go.")
def main(names: tuple[str, ...], inputs: int | None, seconds: float | None, seed: int, findings: Path) -> None:
    """Every target that is named, or all; ends with status 1 where one found something."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what stands is taken down
    if inputs is None and seconds is None:
        seconds = 10.0
    summaries = []
    for name in names or TARGETS:
        summaries.append(run(TARGETS[name](), seed, findings, inputs=inputs, seconds=seconds))
        _say(summaries[-1])
    sys.exit(any(summary.findings for summary in summaries))


def _say(summary: Summary) -> None:
    outcomes = ", ".join(f"{word} {count}" for word, count in summary.outcomes.most_common())
    deaths = ", ".join(f"{how} {count}" for how, count in summary.deaths.items()) or "none"
    print(
        f"{summary.target}: {summary.inputs} inputs in {summary.seconds:.0f} s ({summary.rate:.0f}/s); "
        f"deaths: {deaths}; largest process {summary.peak_megabytes:.0f} MB\n  {outcomes}"
    )
    for sentence, count in summary.findings.most_common():
        print(f"  FOUND {count}x: {sentence}")


main()
