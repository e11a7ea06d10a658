"""Networks of which only the head learns: the features of a film are the same in every epoch, and computed once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from cxr_node.inference.network import FilmNetwork
from training.data import Film
from training.networks.parts import PublicNetwork
from training.recipe import Recipe
from training.task import Batch
from training.trainer import Trainer
from training.transforms import foreseen, training_transforms

BATCH = 32


class Features(Dataset[dict[str, Any]]):
    """Films as features (n, variants, c, h, w) with their targets; each time one of a film's variants at random."""

    def __init__(self, features: Tensor, targets: Sequence[dict[str, Any]]) -> None:
        self.features = features
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, place: int) -> dict[str, Any]:
        variant = int(torch.randint(self.features.shape[1], ()))
        return {"features": self.features[place, variant], **self.targets[place]}


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
    trainer: Trainer, films: Sequence[Film], answers: Sequence[Batch], variants: int, console: Console
) -> Features:
    """The features of training films, each in so many variants of its random changes, which the recipe's seed draws.

    `answers` are what goes into a batch beside each film.
    """
    recipe = trainer.recipe
    transforms = training_transforms(recipe)

    def batches(variant: int) -> Iterator[Tensor]:
        transforms.set_random_state(recipe.seed + variant)
        for start in range(0, len(films), BATCH):
            with foreseen():
                changed = [transforms({"film": film})["film"] for film in films[start : start + BATCH]]
            yield torch.from_numpy(np.stack(changed))

    shown = track(range(variants), "features", console=console, disable=not console.is_terminal)
    parts = [features_of(trainer.network, batches(variant)) for variant in shown]
    return Features(torch.stack(parts, dim=1), answers)


@torch.no_grad()
def features_of(network: FilmNetwork, batches: Iterable[Tensor]) -> Tensor:
    """The last feature maps (n, c, h, w) of films, as the trainer computes them; (n, c, 1, 1) where pooling follows."""
    network.eval()
    device = next(network.parameters()).device
    pooled = isinstance(network, PublicNetwork) and network.POOLED
    parts = []
    for films in batches:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            maps = network.features(films.to(device).contiguous(memory_format=torch.channels_last))
        parts.append((maps.float().mean(dim=(2, 3), keepdim=True) if pooled else maps.float()).cpu())
    return torch.cat(parts)
