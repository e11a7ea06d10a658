"""What commands have in common: the configuration as their first argument, `--json`, days, and who asks."""

import getpass
import os
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from cxr_node import config as configuration
from cxr_node.config import Config
from cxr_node.domain.reading import Actor

DAY = click.DateTime(formats=["%Y-%m-%d"])
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


_WHICH = f"Configuration file; default ${configuration.FILE_VARIABLE}, else {configuration.DEFAULT_FILE}."
config_file = click.option("-c", "--config", "config_file", type=click.Path(path_type=Path), help=_WHICH)


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the configuration as its first argument."""

    @config_file
    @wraps(command)
    def loaded(config_file: Path | None, **arguments: Any) -> Any:
        return command(configuration.load(config_file), **arguments)

    return loaded


def midnight(config: Config, day: datetime) -> float:
    """When a day begins where the node stands, in seconds since 1970 UTC."""
    return day.replace(tzinfo=ZoneInfo(config.node.timezone)).timestamp()


def operator() -> str:
    """Who gives the command, as far as the system knows; behind sudo, the person."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def actor() -> Actor:
    """The same as one who acts: whoever may give commands to the node overrules."""
    return Actor(operator(), overrules=True, address="")
