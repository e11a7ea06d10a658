"""Xception (Chollet, CVPR 2017, arXiv 1610.02357) under the key names of timm's `legacy_xception`.

Pools pad as Keras does, whose weights these are: the odd pixel goes to the right and the bottom.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from training.networks.parts import CENTRED, PublicNetwork

MIDDLE = 728


class SeparableConv2d(nn.Module):
    """A depthwise 3 x 3 convolution, then a pointwise one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.conv1(x))
        return y


class SamePool2d(nn.MaxPool2d):
    """3 x 3 max pooling with stride 2, padded as TensorFlow's "same"."""

    def __init__(self) -> None:
        super().__init__(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        down, right = (1 if side % 2 == 0 else 2 for side in x.shape[-2:])
        padded = functional.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2), value=float("-inf"))
        pooled: Tensor = super().forward(padded)
        return pooled


class Block(nn.Module):
    """Separable convolutions beside a skip; with `stride` 2 both halve the map."""

    def __init__(self, widths: tuple[int, ...], stride: int = 1, relu_first: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.ReLU(), SeparableConv2d(inputs, outputs), nn.BatchNorm2d(outputs)]
        if not relu_first:
            layers = layers[1:]
        if stride == 2:
            layers.append(SamePool2d())
        self.rep = nn.Sequential(*layers)
        self.skip: nn.Module | None = None
        if stride == 2:
            self.skip = nn.Conv2d(widths[0], widths[-1], 1, stride=2, bias=False)
            self.skipbn = nn.BatchNorm2d(widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        beside = x if self.skip is None else self.skipbn(self.skip(x))
        y: Tensor = self.rep(x) + beside
        return y


class Xception(PublicNetwork):
    """20,806,952 parameters before the head, 22,855,952 with 1000 outputs; native size 299."""

    HEAD = "fc"

    def __init__(self, outputs: int) -> None:
        super().__init__(CENTRED)
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.block1 = Block((64, 128, 128), stride=2, relu_first=False)
        self.block2 = Block((128, 256, 256), stride=2)
        self.block3 = Block((256, MIDDLE, MIDDLE), stride=2)
        for number in range(4, 12):
            self.add_module(f"block{number}", Block((MIDDLE,) * 4))
        self.block12 = Block((MIDDLE, MIDDLE, 1024), stride=2)
        self.conv3 = SeparableConv2d(1024, 1536)
        self.bn3 = nn.BatchNorm2d(1536)
        self.conv4 = SeparableConv2d(1536, 2048)
        self.bn4 = nn.BatchNorm2d(2048)
        self.fc = nn.Linear(2048, outputs)

    def features(self, films: Tensor) -> Tensor:
        """The last feature maps, (n, 2048, size / 32, size / 32)."""
        x = functional.relu(self.bn1(self.conv1(self.front(films))))
        x = functional.relu(self.bn2(self.conv2(x)))
        for number in range(1, 13):
            x = self.get_submodule(f"block{number}")(x)
        x = functional.relu(self.bn3(self.conv3(x)))
        return functional.relu(self.bn4(self.conv4(x)))
