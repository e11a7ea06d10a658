"""`cxr-node config`: what is configured, and who said so."""

import json
from pathlib import Path

import click

from cxr_node.commands.options import as_json, config_file


@click.group()
def config() -> None:
    """The configuration."""


@config.command(epilog="Example: cxr-node config show --effective")
@click.option("--effective", is_flag=True, help="Every key that is in force, defaults too.")
@as_json
@config_file
def show(config_file: Path | None, effective: bool, as_json: bool) -> None:
    """What the file and the environment say, key by key, and which of them it was."""
    from cxr_node.config import origin

    found = [each for each in origin.effective(config_file) if effective or each.origin != origin.DEFAULT]
    if as_json:
        shown = [{"key": each.key, "value": each.value, "origin": each.origin} for each in found]
        click.echo(json.dumps(shown, indent=2))
    elif found:
        for each in found:
            click.echo(f"{each.key} = {json.dumps(each.value, ensure_ascii=False)}  # {each.origin}")
    else:
        click.echo("nothing is configured: every key has its default (--effective shows them)")
