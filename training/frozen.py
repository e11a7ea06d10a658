"""Networks of which only the head learns: the features of a film are the same in every epoch, and computed once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from cxr_node.inference.network import FilmNetwork
from training.epochs import Key
from training.networks.parts import PublicNetwork
from training.precision import learning
from training.recipe import Recipe
from training.task import Batch
from training.trainer import Trainer
from training.transforms import SEEDS, changed, random_changes

BATCH = 32


class Features:
    """Films as features (n, variants, c, h, w) with their targets; each time one of a film's variants at random."""

    def __init__(self, features: Tensor, targets: Sequence[Batch]) -> None:
        self.features = features
        self.targets = targets

    def __getitem__(self, key: Key) -> dict[str, Any]:
        place, seed = key
        return {"features": self.features[place, seed % self.features.shape[1]], **self.targets[place]}


class Head(nn.Module):
    """What of a network comes after its features."""

    def __init__(self, network: FilmNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        return self.network.classify(features)


def computed_once(recipe: Recipe, network: FilmNetwork, variants: int | None) -> bool:
    """Whether features can be: the head alone learns, and random changes are none or drawn from so many variants."""
    front = any(name.startswith("front.") for name, _ in network.named_parameters())
    changed = recipe.jitter or recipe.augment
    return recipe.frozen and not front and bool(variants or not changed)


def training_features(
    trainer: Trainer, pictures: Tensor, answers: Sequence[Batch], variants: int, console: Console
) -> Features:
    """The features of prepared training films (n, 1, size, size), each in so many variants of its random changes.

    The recipe's seed draws those. `answers` are what goes into a batch beside each film. Each process computes a part.
    """
    recipe, ranks = trainer.recipe, trainer.ranks
    changes, mine = random_changes(recipe), ranks.part(range(len(pictures)))
    seeds = torch.randint(SEEDS, (variants, len(pictures)), generator=torch.Generator().manual_seed(recipe.seed))

    def batches(variant: int) -> Iterator[Tensor]:
        for start in range(0, len(mine), BATCH):
            places = mine[start : start + BATCH]
            shown = [changed(pictures[place].numpy(), changes, int(seeds[variant, place])) for place in places]
            yield torch.from_numpy(np.stack(shown))

    shown = track(range(variants), "features", console=console, disable=not console.is_terminal)
    parts = [features_of(trainer.network, batches(variant)) for variant in shown]
    return Features(ranks.whole(torch.stack(parts, dim=1)), answers)


@torch.no_grad()
def features_of(network: FilmNetwork, batches: Iterable[Tensor]) -> Tensor:
    """The last feature maps (n, c, h, w) of films, as the trainer computes them; (n, c, 1, 1) where pooling follows."""
    network.eval()
    device = next(network.parameters()).device
    pooled = isinstance(network, PublicNetwork) and network.POOLED
    parts = []
    for films in batches:
        with learning(device):
            maps = network.features(films.to(device).contiguous(memory_format=torch.channels_last))
        parts.append((maps.float().mean(dim=(2, 3), keepdim=True) if pooled else maps.float()).cpu())
    return torch.cat(parts)
