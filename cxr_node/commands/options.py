"""What commands have in common: the configuration as their first argument, and `--json`."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from cxr_node import config as configuration

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the configuration as its first argument."""
    text = f"Configuration file; default ${configuration.FILE_VARIABLE}, else {configuration.DEFAULT_FILE}."

    @click.option("-c", "--config", "config_file", type=click.Path(path_type=Path), help=text)
    @wraps(command)
    def loaded(config_file: Path | None, **arguments: Any) -> Any:
        return command(configuration.load(config_file), **arguments)

    return loaded
