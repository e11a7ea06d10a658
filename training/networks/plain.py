"""Networks without public weights: the plain CNNs of documents 000 and 001, and LeNet-5."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from cxr_node.inference.network import FilmNetwork


class PlainCnn(FilmNetwork):
    """Document 000, figure 6: 3 x 3 valid convolutions, each with 2 x 2 max pooling, then dense layers.

    As it stands, for films of 256 pixels and three outputs, 1,583,011 parameters. `widths`, `dense` and `dropout` make
    the variants of its search.
    """

    def __init__(
        self,
        outputs: int,
        size: int = 256,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        dense: Sequence[int] = (128, 64, 32, 16),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        channels = [1, *widths]
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3) for a, b in pairwise(channels))
        side = size
        for _ in widths:
            side = (side - 2) // 2
        if side < 1:
            raise ValueError(f"{len(widths)} convolutions leave nothing of a film of {size} pixels")
        sizes = [widths[-1] * side * side, *dense]
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.drop = nn.Dropout(dropout)
        self.classifier = nn.Linear(sizes[-1], outputs)

    def features(self, films: Tensor) -> Tensor:
        """The last feature maps, (n, 256, 6, 6) for films of 256 pixels."""
        x = films
        for convolution in self.convolutions:
            x = functional.max_pool2d(functional.relu(convolution(x)), 2)
        return x

    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, outputs)."""
        x = self.drop(features).flatten(1)
        for layer in self.dense:
            x = functional.relu(layer(x))
        logits: Tensor = self.classifier(self.drop(x))
        return logits


class NormedCnn(FilmNetwork):
    """The CNN of document 001, for films of 150 pixels; 1,245,313 parameters with one output.

    The document shows its layers as a picture alone. These are the layers of the notebook that it names as its source:
    five convolutions with batch norm and pooling, dropout from the second on, a dense layer of 128.
    """

    WIDTHS = (32, 64, 64, 128, 256)
    DROPOUTS = (0.0, 0.1, 0.0, 0.2, 0.2)

    def __init__(self, outputs: int, size: int = 150) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, side = 1, size
        for width, dropout in zip(self.WIDTHS, self.DROPOUTS, strict=True):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Dropout(dropout)]
            layers += [nn.BatchNorm2d(width), nn.MaxPool2d(2, ceil_mode=True)]
            inputs, side = width, -(-side // 2)
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Linear(inputs * side * side, 128)
        self.drop = nn.Dropout(0.2)
        self.classifier = nn.Linear(128, outputs)

    def features(self, films: Tensor) -> Tensor:
        """The last feature maps, (n, 256, 5, 5) for films of 150 pixels."""
        maps: Tensor = self.convolutions(films)
        return maps

    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, outputs)."""
        logits: Tensor = self.classifier(self.drop(functional.relu(self.dense(features.flatten(1)))))
        return logits


class LeNet5(FilmNetwork):
    """LeCun et al., Proceedings of the IEEE 86:2278 (1998), on 32 x 32; 61,706 parameters with ten outputs.

    The third layer sees every map of the second, as is usual since, and not the hand-made table of the paper.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.conv3 = nn.Conv2d(16, 120, 5)
        self.fc1 = nn.Linear(120, 84)
        self.classifier = nn.Linear(84, outputs)

    def features(self, films: Tensor) -> Tensor:
        """The last feature maps, (n, 120, 1, 1)."""
        x = functional.avg_pool2d(torch.tanh(self.conv1(films)), 2)
        x = functional.avg_pool2d(torch.tanh(self.conv2(x)), 2)
        return torch.tanh(self.conv3(x))

    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, outputs)."""
        logits: Tensor = self.classifier(torch.tanh(self.fc1(features.flatten(1))))
        return logits
