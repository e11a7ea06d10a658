"""What the networks share: how a grey film enters them, and the heads that a recipe may put on them."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from cxr_node.inference.network import FilmNetwork

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of each channel that torchvision's weights expect."""
CENTRED = ((0.5,) * 3, (0.5,) * 3)
"""-1..1, which the weights of Google's and Keras's networks expect."""


class Repeat(nn.Module):
    """A film (n, 1, h, w) in 0..1 on three channels, normalised as public weights expect; nothing to learn."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, statistics: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
        super().__init__()
        mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in statistics)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    def forward(self, films: Tensor) -> Tensor:
        return (films - self.mean) / self.deviation


class Standardise(nn.Module):
    """A film on three channels with the mean and deviation of the training films (document 003), kept with the weights.

    The trainer sets both before the first step.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("deviation", torch.tensor(1.0))

    def forward(self, films: Tensor) -> Tensor:
        return ((films - self.mean) / self.deviation).expand(-1, 3, -1, -1)


def convolution_front() -> nn.Module:
    """A trainable 3 x 3 convolution from one channel to three (document 002); 30 parameters."""
    return nn.Conv2d(1, 3, 3, padding=1)


class PublicNetwork(FilmNetwork):
    """A network with a front of its own before the layers that public weights fill."""

    HEAD: ClassVar[str]
    """The path of the last linear layer, which a recipe's head takes the place of."""
    POOLED: ClassVar[bool] = True
    """Whether average pooling and that layer alone follow the feature maps."""

    def __init__(self, statistics: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
        super().__init__()
        self.front: nn.Module = Repeat(statistics)

    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, outputs): average pooling, then the head."""
        logits: Tensor = self.get_submodule(self.HEAD)(features.mean(dim=(2, 3)))
        return logits

    def pooled_head(self) -> nn.Linear | None:
        """The linear layer after average pooling, None where the network ends otherwise."""
        head = self.get_submodule(self.HEAD)
        return head if self.POOLED and isinstance(head, nn.Linear) else None


def _linear(inputs: int, outputs: int) -> nn.Module:
    return nn.Linear(inputs, outputs)


def _dense(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, 500), nn.ReLU(), nn.Linear(500, 200), nn.ReLU(), nn.Linear(200, outputs)
    )  # fmt: skip


def _dense_dropout(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, 500), nn.ReLU(), nn.Dropout(0.5), nn.Linear(500, 200), nn.ReLU(), nn.Linear(200, outputs)
    )


def _normed(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(inputs), nn.Linear(inputs, outputs))


HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": _linear,
    "dense": _dense,
    "dense_dropout": _dense_dropout,
    "normed": _normed,
}
"""Heads by name, from inputs and outputs: one layer; 500-200 (003 v2); the same with dropout 0.5; batch norm (004)."""

FRONTS: dict[str, Callable[[], nn.Module]] = {"convolution": convolution_front, "standardise": Standardise}
"""Fronts that a recipe may ask for in place of the network's own."""
