"""One network out of several seeds of one recipe: the mean of their weights.

Networks that were fine-tuned from the same public weights lie in one basin, and their mean is at least as good as the
best of them, at the cost of one (Wortsman et al., "Model soups", ICML 2022, arXiv 2203.05482).
"""

from collections.abc import Sequence

import torch
from safetensors.torch import save

from cxr_node.errors import ConfigError
from training.data import read_manifest
from training.files import write_whole
from training.run import Run


def mix(runs: Sequence[Run], into: Run) -> None:
    """Write the mean of finished runs, which differ in their seeds alone, as a finished run of the first's recipe.

    Raises:
        ConfigError: a run is not finished or differs from the first in more than its seed, or `into` holds another.
    """
    first = runs[0]
    recipe, conditions = first.recipe(), first.conditions()
    for run in runs[1:]:
        if run.recipe().changed({"seed": recipe.seed}) != recipe or run.conditions() != conditions:
            raise ConfigError(f"{run.directory} differs from {first.directory} in more than its seed.")
    states = [run.state() for run in runs]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    into.begin(recipe, conditions, read_manifest(first.splits))
    write_whole(into.weights, lambda stream: stream.write(save(mean)))
