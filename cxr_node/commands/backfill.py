"""`cxr-node backfill`: films of before, into the node behind all that come by themselves, or into a table by Ray."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click
from click.core import ParameterSource

from cxr_node.commands.options import DAY, with_config
from cxr_node.config import Config
from cxr_node.errors import ConfigError

if TYPE_CHECKING:  # they are loaded late, so that `--help` waits for nothing
    from types import ModuleType

    from cxr_node.backfill.bulk import Progress
    from cxr_node.backfill.run import Tally
    from cxr_node.backfill.sources import Days

_SHOWN = 10
_LINE = "\r\x1b[K"
"""Takes the place of the line before."""
_TO_THE_NODE, _TO_A_TABLE = ("per_minute", "report", "positive_in"), ("output", "cluster", "cpus", "gpus")


@click.command(
    epilog="Examples: cxr-node backfill /mnt/films; cxr-node backfill pacs --since 2026-01-01; "
    "cxr-node backfill https://pacs.example.org/dicom-web --per-minute 20; "
    "cxr-node backfill s3://archive/2025 --ray --output results"
)
@click.argument("source")
@click.option("--since", type=DAY, help="Studies of this day and later; a year back.  [not for a folder]")
@click.option("--until", type=DAY, help="Studies of this day and earlier; yesterday.  [not for a folder]")
@click.option("--per-minute", type=click.FloatRange(0.1, 6000), default=60.0, show_default=True, help="Films at most.")
@click.option("--limit", type=click.IntRange(1), help="End after so many files or studies.")
@click.option("--report", is_flag=True, help="Write and send documents of them, too; else they are analysed in shadow.")
@click.option(
    "--positive-in",
    type=click.Path(file_okay=False, path_type=Path),
    help="Only studies with a positive film in this table; the --output of a run with --ray.",
)
@click.option("--ray", is_flag=True, help="By the workers of a Ray cluster, into a table; no node takes part.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder of the table.  [for --ray]")
@click.option("--cluster", metavar="HOST:PORT", help="auto: the one of this machine; one for this run.  [for --ray]")
@click.option("--cpus", type=click.FloatRange(0.01), default=1.0, show_default=True, help="Cores of each worker.")
@click.option(
    "--gpus", type=click.FloatRange(0), default=0.0, show_default=True, help="Cards of each worker; 0.25: a quarter."
)
@with_config
@click.pass_context
def backfill(
    context: click.Context,
    config: Config,
    *,
    source: str,
    since: datetime | None,
    until: datetime | None,
    per_minute: float,
    limit: int | None,
    report: bool,
    positive_in: Path | None,
    ray: bool,
    output: Path | None,
    cluster: str | None,
    cpus: float,
    gpus: float,
) -> None:
    """Take in films of before from SOURCE: a folder, https://... (DICOMweb), dicom://AE@HOST:PORT, or the name of a
    [[destination]]. With --ray into a table of results (Parquet), also from an object store (s3://...).
    Ended and begun again, it goes on where it was; what failed is tried again."""
    from cxr_node.backfilling import days_of
    from cxr_node.observe.log import configure

    _require_fitting(context, config, ray=ray)
    configure(config.log.level, config.log.format)
    today = datetime.now(ZoneInfo(config.node.timezone)).date()
    days = days_of(since.date() if since else None, until.date() if until else None, today)
    if output is not None:
        _into_table(config, source, days, output, limit=limit, cluster=cluster, cpus=cpus, gpus=gpus)
    else:
        _into_node(config, source, days, positive_in, per_minute=per_minute, limit=limit, report=report)


def _require_fitting(context: click.Context, config: Config, *, ray: bool) -> None:
    """Raises UsageError for options that go with the other way alone."""
    for name in _TO_THE_NODE if ray else _TO_A_TABLE:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} goes only {'without' if ray else 'with'} --ray")
    if ray and context.params["output"] is None:
        raise click.UsageError("--ray wants --output, the folder of its table")
    if ray and config.inference.device == "cuda" and not context.params["gpus"]:
        raise click.UsageError("inference.device is cuda: say with --gpus how much of a card a worker has")


def _into_node(
    config: Config,
    named: str,
    days: "Days",
    positive_in: Path | None,
    *,
    per_minute: float,
    limit: int | None,
    report: bool,
) -> None:
    from cxr_node.backfill.run import Backfill, Tally
    from cxr_node.backfill.sources import Chosen
    from cxr_node.backfilling import source_of
    from cxr_node.plan import open_store, spool_of

    store, spool = open_store(config, create=False), spool_of(config)

    def show(tally: Tally) -> None:
        if sys.stdout.isatty():
            click.echo(f"\r{_said(tally)}", nl=False)

    source = source_of(config, store, named, days)
    if positive_in is not None:
        source = Chosen(source, _positives(positive_in))
    tally = Backfill(store, per_minute, report, lambda: not spool.below_watermark(), show).run(source, limit)
    click.echo(f"\r{_said(tally)}")
    for failure in dict.fromkeys(tally.failures[:_SHOWN]):
        click.echo(failure, err=True)
    sys.exit(1 if tally.failed else 0)


def _said(tally: "Tally") -> str:
    return f"{tally.films} films taken in; {tally.done} done, {tally.skipped} left out, {tally.failed} failed"


def _into_table(
    config: Config,
    source: str,
    days: "Days",
    out: Path,
    *,
    limit: int | None,
    cluster: str | None,
    cpus: float,
    gpus: float,
) -> None:
    films = _ray()
    from cxr_node.tabulating import place_of, tabulate, work_of

    place, work = place_of(config, source, days), work_of(config)
    if work.model.restriction:
        click.echo(f"RESTRICTED: {work.model.restriction}", err=True)
    judged = partial(films.judged, place=place, work=work, share=films.Share(cpus, gpus), cluster=cluster)
    progress = tabulate(place, work, out, judged, limit=limit, progress=_Shown())
    click.echo(f"{_LINE if sys.stdout.isatty() else ''}{said(progress)}")
    for code, count in sorted(progress.codes.items()):
        click.echo(f"{code}: {count} films", err=True)
    sys.exit(1 if progress.left else 0)


class _Shown:
    """Tells a person how far it is: all the while on a terminal, else once a minute."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, progress: "Progress") -> None:
        terminal = sys.stdout.isatty()
        if (now := time.monotonic()) >= self._next:
            self._next = now + (0.5 if terminal else 60.0)
            click.echo(f"{_LINE if terminal else ''}{said(progress)}", nl=not terminal)


def said(progress: "Progress") -> str:
    """A line on how far it is."""
    done = progress.before + progress.done
    left = f", {_span(progress.eta)} left" if progress.eta else ""
    return (
        f"{done} of {progress.found} films, {progress.rate:.1f} films/s{left}; "
        f"{progress.set_aside} set aside, {progress.left} left for the next run"
    )


def _span(seconds: float) -> str:
    minutes = int(seconds / 60 + 0.5)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def _positives(folder: Path) -> frozenset[str]:
    """As `table.positives`, of an output. Raises ConfigError where nothing can read it here."""
    with _with_the_extra():
        from cxr_node.backfill.table import FOLDER, positives
    return positives(folder / FOLDER)


def _ray() -> "ModuleType":
    """What speaks with Ray. Raises ConfigError where it, or what Ray Data needs, is not installed."""
    with _with_the_extra():
        from cxr_node.pool import films
    return films


@contextmanager
def _with_the_extra() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("ray", "pyarrow", "pandas"):
            raise
        raise ConfigError(
            "Ray is not installed: install cxr-node[ray] here, and on every machine that is to judge films"
        ) from error
