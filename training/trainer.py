"""The state of a run in memory: the network, the average of its weights, the optimiser, and how far they have come."""

import math
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cxr_node.errors import ConfigError
from cxr_node.inference.network import FilmNetwork, channels_last
from training.files import write_whole
from training.networks import NETWORKS
from training.optimisation import FitRecipe, Optimiser
from training.precision import learning
from training.recipe import Recipe
from training.robust import Robust
from training.run import network_of
from training.task import Batch, Task
from training.together import synchronise

Figures = dict[str, float]


class Trainer:
    """One way forward: `run_epoch` until `finished`."""

    def __init__(self, recipe: Recipe, network: FilmNetwork, task: Task, robust: Robust, device: torch.device) -> None:
        self.recipe = recipe
        self.network = network.to(device)
        self.robust = robust.to(device)
        self.task = task
        self.device = device
        self.ranks = robust.ranks
        synchronise(network, self.ranks, device)
        self.ranks.alike(network)
        self.ranks.alike(robust)
        channels_last(network)
        self._pass: nn.Module = _Pass(network, robust)
        self.average = self._copied()
        self.optimiser = self._new_optimiser(recipe.fit.warm_up_optimiser or recipe.fit.optimiser)
        self.epoch = 0
        self.best = math.inf
        self.stalled = 0
        self.history: list[Figures] = []

    @property
    def finished(self) -> bool:
        """Whether every epoch of the recipe is done, or the validation loss fell no more for its patience."""
        patience = self.recipe.fit.patience
        return self.epoch >= self.recipe.fit.all_epochs or (patience is not None and self.stalled >= patience)

    @property
    def warming_up(self) -> bool:
        """Whether only the head learns, or what the recipe names."""
        return self.epoch < self.recipe.fit.warm_up_epochs

    def run_epoch(self, batches: Iterable[Batch], count: int) -> Figures:
        """One pass over `count` batches; returns the mean loss and the accuracy on the way."""
        if self.epoch == self.recipe.fit.warm_up_epochs and self.recipe.fit.warm_up_optimiser:
            self.optimiser = self._new_optimiser(self.recipe.fit.optimiser)
        self._freeze(self.warming_up)
        self._pass = _Pass(self.network, self.robust)  # what was shared before must be gone first
        self._pass = self.ranks.shared(self._pass)
        losses, right, films = [], [], 0
        for step, batch in enumerate(batches):
            self._set_rates(step, count)
            loss, correct = self.step(batch)
            losses.append(loss)
            right.append(correct.sum())
            films += len(correct)
        self.epoch += 1
        return self._joined(torch.stack(losses).mean(), torch.stack(right).sum(), films)

    def _joined(self, loss: Tensor, right: Tensor, films: int) -> Figures:
        """What this process saw of an epoch, together with what the others did."""
        losses, rights, shown = self.ranks.total(torch.tensor([loss, right, films], dtype=torch.float64)).tolist()
        return {"loss": losses / self.ranks.count, "accuracy": rights / shown}

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One batch: `film` (n, 1, size, size), or its `features` (n, c, h, w), its `source` and `group`, and targets.

        Returns the loss and which (n,) were right; of mixed films, the larger part. Nothing waits for a graphics card.
        """
        seen = "features" if "features" in batch else "film"
        shown = torch.as_tensor(batch[seen]).to(self.device)
        targets = {name: torch.as_tensor(value).to(self.device) for name, value in batch.items() if name != seen}
        mixed = self.robust.mixed(shown, targets)
        if mixed is not None:
            shown = mixed[0]
        logits, told = self._pass(shown.contiguous(memory_format=torch.channels_last), targets["source"], seen)
        losses = self.task.losses(logits.float(), targets)
        if mixed is not None:
            _, others, own = mixed
            losses = own * losses + (1 - own) * self.task.losses(logits.float(), others)
        loss = self.robust.joined(losses, targets["group"])
        if told is not None:
            loss = loss + self.ranks.mean(told)
        self._descend(loss)
        return loss.detach(), self.task.correct(logits.detach().float(), targets)

    def _descend(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        if self.recipe.fit.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.fit.clip)
        self.optimiser.step()
        self._average()

    def note(self, figures: Figures) -> None:
        """Keep an epoch's figures; `validation loss` decides on patience."""
        self.history.append(figures)
        if self.epoch <= self.recipe.fit.warm_up_epochs:
            return
        improved = figures["validation loss"] < self.best
        self.best = min(self.best, figures["validation loss"])
        self.stalled = 0 if improved else self.stalled + 1

    def averaged(self) -> FilmNetwork:
        """The network with the averaged weights, in evaluation mode."""
        network = network_of(self.recipe).to(self.device)
        network.load_state_dict(self.average)
        channels_last(network)
        return network.eval()

    def save(self, path: Path) -> None:
        """Write everything that `load` needs, whole or not at all.

        Raises:
            Transient: CHECKPOINT: it could not be written (the disk is full); the one before is still there.
        """
        state = {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "average": self.average,
            "robust": self.robust.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "stalled": self.stalled,
            "history": self.history,
        }
        write_whole(path, lambda stream: torch.save(state, stream))

    def load(self, path: Path) -> None:
        """Go on where `save` left off.

        Raises:
            ConfigError: the file is no checkpoint, or damaged.
        """
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise ConfigError(
                f"The checkpoint {path} cannot be read ({str(error).splitlines()[0]}); remove it to begin anew."
            ) from error
        self.epoch, self.best, self.stalled = state["epoch"], state["best"], state["stalled"]
        self.history = state["history"]
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.robust.load_state_dict(state["robust"])
        if self.epoch > self.recipe.fit.warm_up_epochs:
            self.optimiser = self._new_optimiser(self.recipe.fit.optimiser)
        self.optimiser.load_state_dict(state["optimiser"])

    def _learns(self, name: str) -> bool:
        """Whether a parameter learns in the warm-up."""
        head = NETWORKS[self.recipe.network].head
        return name.startswith(self.recipe.fit.learns or (f"{head}.", "front."))

    def _freeze(self, frozen: bool) -> None:
        """Let all learn, or in the warm-up only what may; what is frozen keeps its statistics and drops nothing."""
        never = self.recipe.fit.frozen
        self.network.train(not frozen)
        for name, value in self.network.named_parameters():
            value.requires_grad_((not frozen or self._learns(name)) and not name.startswith(never))
        for name, module in self.network.named_modules():
            if f"{name}.".startswith(never):
                module.eval()
            elif frozen and name and self._learns(f"{name}."):
                module.train()

    def _set_rates(self, step: int, count: int) -> None:
        fit = self.recipe.fit
        spec = (self.warming_up and fit.warm_up_optimiser) or fit.optimiser
        slower = 1 + spec.decay * (self.epoch * count + step)
        if self.warming_up:
            rates = (0.0, fit.head_rate / slower)
        else:
            done = (self.epoch - fit.warm_up_epochs + step / count) / fit.epochs
            falling = (1 + math.cos(math.pi * done)) / 2 if fit.schedule == "cosine" else 1.0
            rates = (fit.rate * falling / slower,) * 2
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate

    def _copied(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def _average(self) -> None:
        decay = 0.0 if self.warming_up else self.recipe.fit.average_decay
        for name, value in self.network.state_dict().items():
            kept = self.average[name]
            if kept.is_floating_point():
                kept.lerp_(value.detach(), 1 - decay)
            else:
                kept.copy_(value)

    def _new_optimiser(self, spec: Optimiser) -> torch.optim.Optimizer:
        learns = [value for name, value in self.network.named_parameters() if self._learns(name)]
        others = [value for name, value in self.network.named_parameters() if not self._learns(name)]
        groups = [{"params": others}, {"params": [*learns, *self.robust.parameters()]}]
        return _OPTIMISERS[spec.name](groups, spec, self.recipe.fit)


class _Pass(nn.Module):
    """A batch's way through the network and past the adversary: what processes share the gradients of."""

    def __init__(self, network: FilmNetwork, robust: Robust) -> None:
        super().__init__()
        self.network = network
        self.robust = robust

    def forward(self, shown: Tensor, sources: Tensor, seen: str) -> tuple[Tensor, Tensor | None]:
        """Logits (n, outputs) of films or of their features, as `seen` says, and the adversary's losses (n,)."""
        with learning(shown.device):
            features = shown if seen == "features" else self.network.features(shown)
            logits = self.network.classify(features)
        adversary = self.robust.adversary
        return logits, None if adversary is None else adversary(features, sources)


def _sgd(groups: list[dict[str, Any]], spec: Optimiser, fit: FitRecipe) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        groups, fit.head_rate, momentum=spec.momentum, nesterov=spec.nesterov, weight_decay=fit.weight_decay
    )


def _rmsprop(groups: list[dict[str, Any]], spec: Optimiser, fit: FitRecipe) -> torch.optim.Optimizer:
    """Keras's constants: rho 0.9, epsilon 1e-7."""
    return torch.optim.RMSprop(
        groups, fit.head_rate, alpha=0.9, eps=1e-7, momentum=spec.momentum, weight_decay=fit.weight_decay
    )


_OPTIMISERS: dict[str, Callable[[list[dict[str, Any]], Optimiser, FitRecipe], torch.optim.Optimizer]] = {
    "adamw": lambda groups, _, fit: torch.optim.AdamW(groups, fit.head_rate, weight_decay=fit.weight_decay),
    "adam": lambda groups, _, fit: torch.optim.Adam(groups, fit.head_rate, weight_decay=fit.weight_decay),
    "nadam": lambda groups, _, fit: torch.optim.NAdam(groups, fit.head_rate, weight_decay=fit.weight_decay),
    "sgd": _sgd,
    "rmsprop": _rmsprop,
}
