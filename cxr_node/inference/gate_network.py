"""The gate's network: the first stages of EfficientNet-Lite0 at low resolution, and small heads over where things lie.

The stages keep the public ImageNet weights as they are; only the heads are trained.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cxr_node.domain.quality import LEAST_SIDE
from cxr_node.inference.network import EPSILON, LITE0, WIDTH_STEM, SameConv2d, stages

SIDE = LEAST_SIDE
"""Pixels of the square film that the network sees."""
CHANNELS = 80
CELLS = SIDE // 16
HIDDEN = 64
VIEWS = ("frontal", "lateral", "other", "blank")
TURNS = (0, 90, 180, 270)
"""Degrees counter-clockwise by which a film is turned."""


class Outputs(NamedTuple):
    """What the network says of n films: logits of `view` (n, 4) and `turn` (n, 4), of `inverted` and `cropped` (n,).

    `distance` (n,): how far the film is from the sound ones that the network learned from, in standard deviations.
    """

    view: Tensor
    turn: Tensor
    inverted: Tensor
    cropped: Tensor
    distance: Tensor


class GateNetwork(nn.Module):
    """Films (n, 1, 112, 112), float in 0..1, to `Outputs`."""

    NORMED = (("conv_stem", "bn1"),)

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv2d(3, WIDTH_STEM, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(WIDTH_STEM, eps=EPSILON)
        self.blocks = stages(LITE0[:4])
        self.heads = GateHeads()

    def features(self, films: Tensor) -> Tensor:
        """Feature maps (n, 80, 7, 7) of the frozen stages."""
        x = (films * 2 - 1).expand(-1, 3, -1, -1)
        maps: Tensor = self.blocks(functional.relu6(self.bn1(self.conv_stem(x))))
        return maps

    def forward(self, films: Tensor) -> Outputs:
        heads: Outputs = self.heads(self.features(films))
        return heads


class GateHeads(nn.Module):
    """What is trained: feature maps (n, 80, 7, 7) to `Outputs`."""

    centre: Tensor
    whitening: Tensor

    def __init__(self, hidden: int = HIDDEN, components: int = 48) -> None:
        super().__init__()
        self.scale = nn.BatchNorm2d(CHANNELS)
        self.squeeze = nn.Conv2d(CHANNELS, 32, 1)
        self.drop = nn.Dropout(0.3)
        self.hidden = nn.Linear(32 * CELLS * CELLS, hidden)
        self.view = nn.Linear(hidden, len(VIEWS))
        self.turn = nn.Linear(hidden, len(TURNS))
        self.state = nn.Linear(hidden, 2)
        self.register_buffer("centre", torch.zeros(4 * CHANNELS))
        self.register_buffer("whitening", torch.zeros(4 * CHANNELS, components))

    def forward(self, features: Tensor) -> Outputs:
        x = functional.relu(self.squeeze(self.scale(features)))
        x = functional.relu(self.hidden(self.drop(x.flatten(1))))
        x = self.drop(x)
        state = self.state(x)
        return Outputs(self.view(x), self.turn(x), state[:, 0], state[:, 1], self.distance(features))

    def distance(self, features: Tensor) -> Tensor:
        """(n,) root mean square of the whitened features: 1 is what sound films have on average."""
        whitened = (layout(features) - self.centre) @ self.whitening
        return whitened.square().mean(dim=1).sqrt()


def layout(features: Tensor) -> Tensor:
    """The feature maps averaged over the quarters of the film, (n, 320)."""
    return functional.adaptive_avg_pool2d(features, 2).flatten(1)
