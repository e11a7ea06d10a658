"""One training run: warm-up of the head, then the whole network, with an average of the weights kept beside it.

A run is a folder: recipe.json, log.jsonl, checkpoint.pt (to resume), weights.safetensors (the average, when done). It
is saved at the end of every epoch, and every epoch seeds itself, so that a run killed at any point resumes to the
result that it would have had.
"""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import CacheDataset
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import WeightedRandomSampler

from cxr_node.errors import ConfigError
from cxr_node.inference.manifest import sha256
from cxr_node.inference.network import NETWORKS, FilmNetwork, channels_last
from training.data import Film, trainable, weights
from training.evaluate import roc_area
from training.recipe import Recipe
from training.run import OUTPUTS, Run
from training.transforms import as_item, evaluation_transforms, training_transforms

HEAD = "classifier."
console = Console()


def loss_of(logits: Tensor, pneumonia: Tensor, bacterial: Tensor, smoothing: float) -> Tensor:
    """Cross entropy of pneumonia plus, over the films where it is known, of bacterial against viral.

    `logits` is (n, 2); the targets are (n,), 0 or 1, NaN where not known; `smoothing` moves them towards one half.
    """
    known = ~torch.isnan(bacterial)
    kind = functional.binary_cross_entropy_with_logits(
        logits[:, 1], _smooth(torch.nan_to_num(bacterial), smoothing), known.float(), reduction="sum"
    )
    finding = functional.binary_cross_entropy_with_logits(logits[:, 0], _smooth(pneumonia, smoothing))
    return finding + 0.5 * kind / len(logits)


def _smooth(target: Tensor, amount: float) -> Tensor:
    return target * (1 - amount) + amount / 2


def pretrained(recipe: Recipe, path: Path) -> FilmNetwork:
    """The recipe's network with the public weights of `path` under a new head.

    Raises:
        ConfigError: the file is not the one that the recipe names by its digest.
    """
    if not path.is_file() or sha256(path) != recipe.weights_sha256:
        raise ConfigError(f"{path} is not the file with SHA-256 {recipe.weights_sha256} that the recipe starts from.")
    network = NETWORKS[recipe.network](OUTPUTS)
    state = {name: value.float() for name, value in load_file(path).items() if not name.startswith(HEAD)}
    missing, unexpected = network.load_state_dict(state, strict=False)
    if unexpected or any(not name.startswith(HEAD) for name in missing):
        raise ConfigError(f"{path} does not fit the network {recipe.network}.")
    return network


class Trainer:
    """The state of a run and the one way forward: `run_epoch` until `finished`."""

    def __init__(self, recipe: Recipe, network: FilmNetwork) -> None:
        self.recipe = recipe
        self.network = network
        channels_last(network)
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        head = [value for name, value in network.named_parameters() if name.startswith(HEAD)]
        body = [value for name, value in network.named_parameters() if not name.startswith(HEAD)]
        self.optimiser = torch.optim.AdamW(
            [{"params": body}, {"params": head}], lr=recipe.fit.head_rate, weight_decay=recipe.fit.weight_decay
        )
        self.epoch = 0

    @property
    def finished(self) -> bool:
        """Whether every epoch of the recipe is done."""
        return self.epoch >= self.recipe.fit.all_epochs

    @property
    def warming_up(self) -> bool:
        """Whether only the head learns."""
        return self.epoch < self.recipe.fit.warm_up_epochs

    def run_epoch(self, loader: DataLoader) -> float:
        """One pass; returns the mean loss."""
        self._freeze_body(self.warming_up)
        losses = []
        for step, batch in enumerate(loader):
            self._set_rates(step / len(loader))
            losses.append(self.step(batch))
        self.epoch += 1
        return float(np.mean(losses))

    def step(self, batch: dict[str, Any]) -> float:
        """One batch: `film` (n, 1, size, size), `pneumonia` and `bacterial` (n,); returns the loss."""
        films = torch.as_tensor(batch["film"]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.network(films)
        loss = loss_of(logits.float(), batch["pneumonia"], batch["bacterial"], self.recipe.fit.label_smoothing)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self._average()
        return float(loss.detach())

    def _freeze_body(self, frozen: bool) -> None:
        self.network.train(not frozen)
        for name, value in self.network.named_parameters():
            value.requires_grad_(not frozen or name.startswith(HEAD))

    def _set_rates(self, part: float) -> None:
        fit = self.recipe.fit
        if self.warming_up:
            rates = (0.0, fit.head_rate)
        else:
            done = (self.epoch - fit.warm_up_epochs + part) / fit.epochs
            rates = (fit.rate * (1 + math.cos(math.pi * done)) / 2,) * 2
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate

    def _average(self) -> None:
        decay = 0.0 if self.warming_up else self.recipe.fit.average_decay
        for name, value in self.network.state_dict().items():
            kept = self.average[name]
            if kept.is_floating_point():
                kept.lerp_(value.detach(), 1 - decay)
            else:
                kept.copy_(value)

    def averaged(self) -> FilmNetwork:
        """The network with the averaged weights, in evaluation mode."""
        network = NETWORKS[self.recipe.network](OUTPUTS)
        network.load_state_dict(self.average)
        channels_last(network)
        return network.eval()

    def save(self, path: Path) -> None:
        """Write everything that `load` needs, whole or not at all."""
        state = {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on where `save` left off."""
        state = torch.load(path, weights_only=True)
        self.epoch = state["epoch"]
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])


@torch.inference_mode()
def logits_of(network: nn.Module, films: Sequence[Film], size: int, batch: int = 32) -> NDArray[np.float64]:
    """The logits (n, 2) of films as the node prepares them, in their order."""
    prepare = evaluation_transforms(size)
    parts = []
    for start in range(0, len(films), batch):
        prepared = np.stack([prepare(as_item(film))["film"] for film in films[start : start + batch]])
        tensor = torch.from_numpy(prepared).contiguous(memory_format=torch.channels_last)
        parts.append(network(tensor).double().numpy())
    return np.concatenate(parts)


def validate(network: nn.Module, films: Sequence[Film], size: int) -> dict[str, float]:
    """The area under the ROC curve of pneumonia against normal in each source, and of bacterial against viral."""
    logits = logits_of(network, films, size)
    finding = np.array([film.pneumonia for film in films])
    kind = np.array([film.bacterial for film in films])
    even = np.ones_like(finding)
    areas = {}
    for source in sorted({film.source for film in films}):
        there = np.array([film.source == source for film in films])
        areas[source] = roc_area(finding[there], logits[there, 0], even[there])
    known = ~np.isnan(kind)
    return areas | {"bacterial": roc_area(kind[known], logits[known, 1], even[known])}


def fit(recipe: Recipe, films: Sequence[Film], start: Path, run: Run) -> None:
    """Train from the public weights `start`, or on from the run's checkpoint where there is one."""
    run.begin(recipe)
    torch.manual_seed(recipe.seed)
    trainer = Trainer(recipe, pretrained(recipe, start))
    if run.checkpoint.exists():
        trainer.load(run.checkpoint)
    train = trainable(films, recipe.data.shares, "train")
    validation = trainable(films, recipe.data.shares, "val")
    transforms = training_transforms(recipe.size, recipe.augment)
    dataset = CacheDataset([as_item(film) for film in train], transforms, num_workers=2, progress=False)
    while not trainer.finished:
        seed, began = recipe.seed + trainer.epoch, time.monotonic()
        torch.manual_seed(seed)
        transforms.set_random_state(seed)
        sampler = WeightedRandomSampler(weights(train, recipe.data.shares), recipe.data.films_per_epoch)
        loss = trainer.run_epoch(DataLoader(dataset, 0, batch_size=recipe.fit.batch, sampler=sampler, drop_last=True))
        trainer.save(run.checkpoint)
        areas = validate(trainer.averaged(), validation, recipe.size)
        _log(run, {"epoch": trainer.epoch, "loss": loss, "seconds": time.monotonic() - began, **areas})
    save_file({name: value.contiguous() for name, value in trainer.average.items()}, run.weights)


def _log(run: Run, entry: dict[str, float]) -> None:
    with run.log.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")
    console.print("  ".join(f"{name} {value:.4g}" for name, value in entry.items()))
