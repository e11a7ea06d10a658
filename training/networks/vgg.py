"""AlexNet and VGG16, torchvision's but for the name of their convolutions (`body` for its `features`).

Krizhevsky, "One weird trick", 2014 (arXiv 1404.5997); Simonyan and Zisserman, ICLR 2015 (arXiv 1409.1556).
"""

from torch import Tensor, nn
from torch.nn import functional

from training.networks.parts import IMAGENET, PublicNetwork

VGG16_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""The channels of each convolution; 0 is a pooling."""


class DenseEnded(PublicNetwork):
    """Feature maps averaged to a fixed grid, then dense layers, of which a recipe's head replaces the last."""

    HEAD = "classifier.6"
    POOLED = False
    GRID: int
    body: nn.Module
    classifier: nn.Module

    def features(self, films: Tensor) -> Tensor:
        """The last feature maps, (n, c, h, w)."""
        maps: Tensor = self.body(self.front(films))
        return maps

    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, outputs)."""
        logits: Tensor = self.classifier(functional.adaptive_avg_pool2d(features, self.GRID).flatten(1))
        return logits


class AlexNet(DenseEnded):
    """61,100,840 parameters with 1000 outputs."""

    GRID = 6

    def __init__(self, outputs: int) -> None:
        super().__init__(IMAGENET)
        self.body = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(256 * 36, 4096), nn.ReLU(),
            nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, outputs),
        )  # fmt: skip


class Vgg16(DenseEnded):
    """138,357,544 parameters with 1000 outputs."""

    GRID = 7

    def __init__(self, outputs: int) -> None:
        super().__init__(IMAGENET)
        self.body = _vgg16_body()
        self.classifier = nn.Sequential(
            nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, outputs),
        )  # fmt: skip


class Vgg16Pooled(PublicNetwork):
    """The convolutions of VGG16, average pooling and one head (document 003); 14,714,688 parameters before it."""

    HEAD = "classifier"

    def __init__(self, outputs: int) -> None:
        super().__init__(IMAGENET)
        self.body = _vgg16_body()
        self.classifier = nn.Linear(512, outputs)

    def features(self, films: Tensor) -> Tensor:
        """The last feature maps, (n, 512, size / 32, size / 32)."""
        maps: Tensor = self.body(self.front(films))
        return maps


def _vgg16_body() -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = 3
    for width in VGG16_WIDTHS:
        if width:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)
