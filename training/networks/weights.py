"""Public weights into a network, by key; a file that is not theirs is refused, and says which keys do not fit."""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cxr_node.errors import ConfigError
from training.networks import NETWORKS, Public

SHOWN = 3
OURS = ("front.", "shade.", "familiarity.", "alone_")
"""Parts that no public weights have: they are primed with the training films."""
COUNTER = "num_batches_tracked"
"""Batch norms count their batches for nothing that is used here, and older files have no such key."""


def load_public(network: nn.Module, name: str, path: Path) -> None:
    """Fill `network`, of the family `name`, with the weights of `path` (safetensors, or a state dict of torch).

    Its head, and parts that are OURS, keep what they have.

    Raises:
        ConfigError: the file cannot be read, or is of another network.
    """
    family = NETWORKS[name]
    public = family.public or Public("", "")
    own = (f"{family.head}.", *OURS)
    state = {
        key: value.float() if value.is_floating_point() else value
        for found, value in read_state(path).items()
        if not found.startswith(public.beside) and not (key := public.rename(found)).startswith(own)
    }
    expected = {key: value for key, value in network.state_dict().items() if not key.startswith(own)}
    if mistakes := _mistakes(expected, state):
        raise ConfigError(f"{path} does not fit the network {name}: {mistakes}.")
    network.load_state_dict(state, strict=False)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, EOFError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{path} cannot be read as weights: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"{path} is no state dict: a mapping of names to tensors.")
    return state


def _mistakes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    missing = [key for key in expected.keys() - found.keys() if not key.endswith(COUNTER)]
    unknown = found.keys() - expected.keys()
    shaped = [
        f"{key} is {tuple(found[key].shape)} and should be {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    lists = ((missing, "missing"), (unknown, "not known"), (shaped, "of another shape"))
    return "; ".join(f"{len(keys)} keys are {wrong} ({_some(keys)})" for keys, wrong in lists if keys)


def _some(keys: Iterable[str]) -> str:
    ordered = sorted(keys)
    return ", ".join(ordered[:SHOWN]) + (", ..." if len(ordered) > SHOWN else "")
