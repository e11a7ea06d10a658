"""`cxr-node export`: films and results for others."""

import sys
import time
from datetime import datetime
from pathlib import Path

import click

from cxr_node.commands.options import DAY, midnight, operator, with_config
from cxr_node.config import Config


@click.command(epilog="Example: cxr-node export --deidentified /mnt/out/films --since 2026-01-01")
@click.option(
    "--deidentified", "out", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="An empty folder, or one to be made.",
)  # fmt: skip
@click.option("--study", "studies", multiple=True, metavar="UID", help="Only this study; may be repeated.")
@click.option("--since", type=DAY, help="Only films received on this day and later.")
@with_config
def export(config: Config, out: Path, studies: tuple[str, ...], since: datetime | None) -> None:
    """Films that were analysed, de-identified, with the results, for training (PS3.15 Basic Profile)."""
    from cxr_node import keys
    from cxr_node.export.run import Export
    from cxr_node.observe.log import configure
    from cxr_node.plan import open_store, spool_of

    configure(config.log.level, config.log.format)
    names, data = keys.pseudonyms(config.node.data_dir, create=False), config.node.data_dir
    store, spool = open_store(config, create=False), spool_of(config)
    made = Export(store, spool, names, out, data / "exports", operator(), time.time)
    chosen = made.found(midnight(config, since) if since else 0.0, studies)
    with click.progressbar(chosen, label="studies", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        found = made.run(bar)
    click.echo(f"{found.films} films of {found.studies} studies are in {out}; {found.left_out} left out (left_out.csv)")
    click.echo(f"who was who: {found.mapping}; keep it here")
