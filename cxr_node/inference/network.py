"""EfficientNet-Lite0 and Lite2 as plain modules, under the key names of the public weights.

Tan and Le, "EfficientNet", ICML 2019 (arXiv 1905.11946), in Google's Lite variant: no squeeze-and-excitation, ReLU6,
a stem and a head of fixed width. Key names, padding and epsilon are those of timm's `tf_efficientnet_lite0` and
`tf_efficientnet_lite2`, so that public state dicts load with `strict=True`.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

EPSILON = 1e-3
WIDTH_STEM = 32
WIDTH_HEAD = 1280
EARLY = 3
"""Stages that see no further than texture."""
Stages = tuple[tuple[int, int, int, int, int], ...]
"""For each stage: kernel, stride of its first block, expansion, channels, blocks."""
LITE0: Stages = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
LITE2: Stages = (  # 1.1 times as wide in multiples of 8, 1.2 times as deep but for the first and the last stage
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 3),
    (5, 2, 6, 48, 3),
    (3, 2, 6, 88, 4),
    (5, 1, 6, 120, 4),
    (5, 2, 6, 208, 5),
    (3, 1, 6, 352, 1),
)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": the odd pixel of padding goes to the right and the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        symmetric = (kernel - 1) // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding=symmetric, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            down, right = (max(kernel - stride + (-side % stride), 0) for side in x.shape[-2:])
            x = functional.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        return super().forward(x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


class SeparableBlock(nn.Module):
    """Depthwise then pointwise convolution: the first stage, which does not expand."""

    NORMED = (("conv_dw", "bn1"), ("conv_pw", "bn2"))

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = SameConv2d(inputs, inputs, kernel, stride, groups=inputs)
        self.bn1 = _norm(inputs)
        self.conv_pw = SameConv2d(inputs, outputs, 1)
        self.bn2 = _norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self.bn1(self.conv_dw(x)))
        y = self.bn2(self.conv_pw(y))
        return torch.add(x, y) if self.residual else y


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project: the inverted residual of MobileNetV2 (arXiv 1801.04381)."""

    NORMED = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.conv_pw = SameConv2d(inputs, middle, 1)
        self.bn1 = _norm(middle)
        self.conv_dw = SameConv2d(middle, middle, kernel, stride, groups=middle)
        self.bn2 = _norm(middle)
        self.conv_pwl = SameConv2d(middle, outputs, 1)
        self.bn3 = _norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self.bn1(self.conv_pw(x)))
        y = functional.relu6(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return torch.add(x, y) if self.residual else y


def stages(layout: Stages) -> nn.Sequential:
    built, inputs = [], WIDTH_STEM
    for kernel, first_stride, expansion, outputs, repeats in layout:
        blocks: list[nn.Module] = []
        for index in range(repeats):
            stride = first_stride if index == 0 else 1
            if expansion == 1:
                blocks.append(SeparableBlock(inputs, outputs, kernel, stride))
            else:
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride, expansion))
            inputs = outputs
        built.append(nn.Sequential(*blocks))
    return nn.Sequential(*built)


class FilmNetwork(nn.Module):
    """What the predictor asks of a network: feature maps, and logits from them."""

    def features(self, films: Tensor) -> Tensor:
        """The last feature maps (n, c, h, w) of films (n, 1, size, size), float in 0..1."""
        raise NotImplementedError

    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, outputs) from feature maps."""
        raise NotImplementedError

    def pooled_head(self) -> nn.Linear | None:
        """The linear layer that alone follows average pooling, or None where the network ends otherwise."""
        return None

    def forward(self, films: Tensor) -> Tensor:
        return self.classify(self.features(films))

    def wholly(self, films: Tensor) -> Tensor:
        """Logits (n, outputs) that every weight has a part in, whatever the films are: what golden outputs compare."""
        logits: Tensor = self(films)
        return logits


class EfficientNetLite(FilmNetwork):
    """Films to `outputs` logits.

    The grey film fills all three input channels, scaled to -1..1 as the public weights expect.
    """

    LAYOUT: ClassVar[Stages]
    NORMED = (("conv_stem", "bn1"), ("conv_head", "bn2"))

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv_stem = SameConv2d(3, WIDTH_STEM, 3, stride=2)
        self.bn1 = _norm(WIDTH_STEM)
        self.blocks = stages(self.LAYOUT)
        self.conv_head = SameConv2d(self.LAYOUT[-1][3], WIDTH_HEAD, 1)
        self.bn2 = _norm(WIDTH_HEAD)
        self.drop = nn.Dropout(0.2)
        self.classifier = nn.Linear(WIDTH_HEAD, outputs)

    def features(self, films: Tensor) -> Tensor:
        """The last feature maps, (n, 1280, size / 32, size / 32)."""
        return self.look(films)[1]

    def look(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """What `early` gives of films, and the last feature maps: nearly all of the network's work, in one piece."""
        early = self.early(films)
        return early, self.late(early)

    def early(self, films: Tensor) -> Tensor:
        """What the stem and the first EARLY stages make of films (n, 1, size, size): edges and texture, at size / 8."""
        x = (films * 2 - 1).expand(-1, 3, -1, -1)
        x = functional.relu6(self.bn1(self.conv_stem(x)))
        return self._through(x, slice(EARLY))

    def late(self, early: Tensor) -> Tensor:
        """The last feature maps, from what `early` gives."""
        x = self._through(early, slice(EARLY, None))
        return functional.relu6(self.bn2(self.conv_head(x)))

    def _through(self, x: Tensor, stages: slice) -> Tensor:
        for stage in list(self.blocks)[stages]:
            x = stage(x)
        return x

    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, outputs): average pooling, then one linear layer."""
        logits: Tensor = self.classifier(self.drop(features.mean(dim=(2, 3))))
        return logits

    def pooled_head(self) -> nn.Linear | None:
        """The linear layer, where it was not replaced by a deeper head."""
        return self.classifier if isinstance(self.classifier, nn.Linear) else None


class EfficientNetLite0(EfficientNetLite):
    """3,371,008 parameters before the head; native size 224."""

    LAYOUT = LITE0


class EfficientNetLite2(EfficientNetLite):
    """4,811,072 parameters before the head; native size 260."""

    LAYOUT = LITE2


def channels_last(network: nn.Module) -> None:
    """Lay out every convolution kernel with its channels innermost, which processors without a GPU work fastest on."""
    for value in network.parameters():
        if value.ndim == 4:
            value.data = value.data.contiguous(memory_format=torch.channels_last)


def fold_norms(network: nn.Module) -> None:
    """Multiply the batch norms of a network in evaluation mode into the convolutions before them.

    Changes logits by rounding only, and takes a quarter off the time of a film.
    """
    for module in network.modules():
        for convolution, norm in getattr(module, "NORMED", ()):
            kernels, scales = getattr(module, convolution), getattr(module, norm)
            setattr(module, convolution, fuse_conv_bn_eval(kernels, scales))
            setattr(module, norm, nn.Identity())
