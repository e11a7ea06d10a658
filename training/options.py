"""Options that several commands of `cxr-train` share."""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from cxr_node.errors import ConfigError

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DATA = click.Path(exists=True, path_type=Path)
PLACE = click.Path(path_type=Path)

data_option = click.option(
    "--data", type=DATA, required=True, envvar="CXR_TRAIN_DATA", help="A manifest CSV, or a folder in a known layout."
)
runs_option = click.option(
    "--runs", type=PLACE, default=Path("runs"), show_default=True, help="The folder of runs, each by its recipe's name."
)
weights_option = click.option(
    "--weights", type=PLACE, default=Path("weights"), show_default=True, envvar="CXR_TRAIN_WEIGHTS",
    help="The public weights to start from, or the folder that they are in.",
)  # fmt: skip
scratch_option = click.option("--from-scratch", is_flag=True, help="Start from random weights; the results say so.")
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
limit_option = click.option("--limit", type=click.IntRange(1), help="At most so many films of each split.")


def device_named(name: str) -> str:
    """The device to compute on, from --device.

    Raises:
        ConfigError: it is not there.
    """
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("No CUDA device is there; take --device auto or cpu.")
    return "cuda" if available and name != "cpu" else "cpu"


def processes(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes torchrun started with this one, itself included; 1 where it did not start it."""
    return int(environment.get("WORLD_SIZE", "1"))
