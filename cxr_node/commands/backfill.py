"""`cxr-node backfill`: films of before, behind all that come by themselves."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from cxr_node.commands.options import DAY, with_config
from cxr_node.config import Config

if TYPE_CHECKING:  # it is loaded late, so that `--help` waits for nothing
    from cxr_node.backfill.run import Tally

_SHOWN = 10


@click.command(
    epilog="Examples: cxr-node backfill /mnt/films; cxr-node backfill pacs --since 2026-01-01; "
    "cxr-node backfill https://pacs.example.org/dicom-web --per-minute 20"
)
@click.argument("source")
@click.option("--since", type=DAY, help="Studies of this day and later; a year back.  [not for a folder]")
@click.option("--until", type=DAY, help="Studies of this day and earlier; yesterday.  [not for a folder]")
@click.option("--per-minute", type=click.FloatRange(0.1, 6000), default=60.0, show_default=True, help="Films at most.")
@click.option("--limit", type=click.IntRange(1), help="End after so many files or studies.")
@click.option("--report", is_flag=True, help="Write and send documents of them, too; else they are analysed in shadow.")
@with_config
def backfill(
    config: Config,
    *,
    source: str,
    since: datetime | None,
    until: datetime | None,
    per_minute: float,
    limit: int | None,
    report: bool,
) -> None:
    """Take in films of before from SOURCE: a folder, https://... (DICOMweb), dicom://AE@HOST:PORT, or the name of a
    [[destination]]. Ended and begun again, it goes on where it was; what failed is tried again."""
    from cxr_node.backfill.run import Backfill, Tally
    from cxr_node.backfilling import days_of, source_of
    from cxr_node.observe.log import configure
    from cxr_node.plan import open_store, spool_of

    configure(config.log.level, config.log.format)
    store, spool = open_store(config, create=False), spool_of(config)
    today = datetime.now(ZoneInfo(config.node.timezone)).date()
    days = days_of(since.date() if since else None, until.date() if until else None, today)

    def show(tally: Tally) -> None:
        if sys.stdout.isatty():
            click.echo(f"\r{_said(tally)}", nl=False)

    run = Backfill(store, per_minute, report, lambda: not spool.below_watermark(), show)
    tally = run.run(source_of(config, store, source, days), limit)
    click.echo(f"\r{_said(tally)}")
    for failure in dict.fromkeys(tally.failures[:_SHOWN]):
        click.echo(failure, err=True)
    sys.exit(1 if tally.failed else 0)


def _said(tally: "Tally") -> str:
    return f"{tally.films} films taken in; {tally.done} done, {tally.skipped} left out, {tally.failed} failed"
