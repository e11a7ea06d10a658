"""`cxr-node backup` and `restore`: the state of the node as one file, and back."""

import time
from pathlib import Path

import click

from cxr_node.commands.options import with_config
from cxr_node.config import Config


@click.command(epilog="Example: cxr-node backup /srv/backup/cxr-node.tar")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--films/--no-films", default=True, show_default=True, help="With the films as they were received.")
@with_config
def backup(config: Config, file: Path, films: bool) -> None:
    """Write database, keys, documents and films into one FILE, while the node runs. It holds patient data."""
    from cxr_node import backup as backups

    made = backups.make(config, file, time.time(), films=films)
    click.echo(f"{file}: {made.files} files, {made.size / 1e6:.1f} MB, {'with' if films else 'without'} films")


@click.command(epilog="Example: cxr-node restore /srv/backup/cxr-node.tar")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_config
def restore(config: Config, file: Path) -> None:
    """Put the state that `backup` wrote into FILE back, into a data folder without a database; no node may run."""
    from cxr_node import backup as backups

    found = backups.restore(config, file)
    click.echo(
        f"{config.node.data_dir.resolve()} is as it was at {found.made}, {found.files} files, written by release "
        f"{found.release}; start the node: what was not sent or answered then is sent"
    )
    if not found.films:
        click.echo("it was made without films: the node says that their files are missing (spool.files_missing)")
