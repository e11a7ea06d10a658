"""What keeps a network from knowing its films by their source: mixed films, weight for the worst, an adversary."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cxr_node.errors import ConfigError
from cxr_node.inference.network import FilmNetwork
from training.optimisation import FitRecipe
from training.ranks import ALONE, Ranks
from training.task import Batch

ANY = 1e-6
"""How likely a film's partner is of its own source, beside those of others."""


class Robust(nn.Module):
    """What a recipe wants of that, with what of it is kept from step to step (and in checkpoints)."""

    def __init__(
        self, fit: FitRecipe, network: FilmNetwork, answers: Sequence[Mapping[str, Any]], ranks: Ranks = ALONE
    ) -> None:
        """`answers` are what goes into a batch beside each training film: here its `source` and `group` count."""
        super().__init__()
        self.ranks = ranks
        sources, groups = (1 + max(int(each[name]) for each in answers) for name in ("source", "group"))
        self.mixup = fit.mixup
        self.worst = WorstGroups(groups, fit.worst_groups, ranks) if fit.worst_groups else None
        self.adversary = Adversary(_channels(network), sources, fit.adversary) if fit.adversary else None

    def mixed(self, films: Tensor, targets: Batch) -> tuple[Tensor, Batch, float] | None:
        """Films (n, ...) mixed with others, the targets of those and the share of a film's own; None: unmixed.

        Zhang et al., "mixup", ICLR 2018, equation 1; one share for the batch, and partners from other sources. They are
        found among the films of all processes.
        """
        if not self.mixup:
            return None
        whole = {name: self.ranks.whole(value) for name, value in targets.items()}
        own = float(torch.distributions.Beta(self.mixup, self.mixup).sample())
        chances = (whole["source"][:, None] != whole["source"]).float() + ANY
        others = self.ranks.part(torch.multinomial(chances, 1)[:, 0].tolist())
        partners = {name: value[others] for name, value in whole.items()}
        return own * films + (1 - own) * self.ranks.whole(films)[others], partners, own

    def joined(self, losses: Tensor, groups: Tensor) -> Tensor:
        """One loss of the losses (n,) of films and the groups (n,) that they are of; over processes it is the mean."""
        return self.ranks.mean(losses) if self.worst is None else self.worst(losses, groups)


class WorstGroups(nn.Module):
    """Group DRO (Sagawa et al., ICLR 2020, algorithm 1): groups with larger losses come to weigh more."""

    def __init__(self, groups: int, speed: float, ranks: Ranks = ALONE) -> None:
        super().__init__()
        self.speed = speed
        self.ranks = ranks
        self.weights: Tensor
        self.register_buffer("weights", torch.full((groups,), 1 / groups))

    def forward(self, losses: Tensor, groups: Tensor) -> Tensor:
        """The groups' mean losses, weighted; losses (n,) and groups (n,), as places."""
        member = functional.one_hot(groups, len(self.weights)).to(losses.dtype)
        counts = self.ranks.total(member.sum(dim=0)).clamp(min=1)
        sums = (member * losses[:, None]).sum(dim=0)
        raised = self.weights * torch.exp(self.speed * self.ranks.total(sums) / counts)
        self.weights.copy_(raised / raised.sum())
        return (self.weights * sums / counts).sum() * self.ranks.count


class Adversary(nn.Module):
    """Tells the source from pooled features, which are moved the other way (Ganin et al., JMLR 2016)."""

    def __init__(self, channels: int, sources: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.tell = nn.Linear(channels, sources)

    def forward(self, features: Tensor, sources: Tensor) -> Tensor:
        """The adversary's losses (n,) on features (n, c, h, w); their gradient reaches them reversed."""
        pooled = features.float().mean(dim=(2, 3))
        reversed_ = (1 + self.strength) * pooled.detach() - self.strength * pooled
        return functional.cross_entropy(self.tell(reversed_), sources, reduction="none")


def _channels(network: FilmNetwork) -> int:
    """How many feature maps the head of a network pools.

    Raises:
        ConfigError: its head is no pooling and one linear layer.
    """
    head = network.pooled_head()
    if head is None:
        raise ConfigError("An adversary needs a network that pools its features before one linear layer.")
    return head.in_features
