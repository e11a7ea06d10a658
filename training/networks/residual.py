"""ResNet50 and DenseNet121: MONAI's networks behind a front, with torchvision's weights.

He et al., CVPR 2016 (arXiv 1512.03385); Huang et al., CVPR 2017 (arXiv 1608.06993).
"""

import re

from monai.networks.nets import densenet, resnet
from torch import Tensor
from torch.nn import functional

from training.networks.parts import IMAGENET, PublicNetwork

_DENSE_LAYER = re.compile(r"(denselayer\d+)\.(norm|relu|conv)\.?([12])\.")
"""As torchvision writes it now (`denselayer1.norm1.`) and as its weight files have it (`denselayer1.norm.1.`)."""


def densenet_key(key: str) -> str:
    """The name in `DenseNet121` of one of torchvision's parameters."""
    return "net." + _DENSE_LAYER.sub(r"\1.layers.\2\3.", key).replace("classifier.", "class_layers.out.")


def resnet_key(key: str) -> str:
    """The name in `ResNet50` of one of torchvision's parameters."""
    return "net." + key


class DenseNet121(PublicNetwork):
    """7,978,856 parameters with 1000 outputs."""

    HEAD = "net.class_layers.out"

    def __init__(self, outputs: int) -> None:
        super().__init__(IMAGENET)
        self.net = densenet.DenseNet121(spatial_dims=2, in_channels=3, out_channels=outputs)

    def features(self, films: Tensor) -> Tensor:
        """The last feature maps, (n, 1024, size / 32, size / 32)."""
        return functional.relu(self.net.features(self.front(films)))


class ResNet50(PublicNetwork):
    """25,557,032 parameters with 1000 outputs."""

    HEAD = "net.fc"

    def __init__(self, outputs: int) -> None:
        super().__init__(IMAGENET)
        self.net = resnet.ResNet(
            "bottleneck", [3, 4, 6, 3], [64, 128, 256, 512], spatial_dims=2, n_input_channels=3, conv1_t_size=7,
            conv1_t_stride=2, bias_downsample=False, shortcut_type="B", num_classes=outputs,
        )  # fmt: skip

    def features(self, films: Tensor) -> Tensor:
        """The last feature maps, (n, 2048, size / 32, size / 32)."""
        net = self.net
        x = net.maxpool(net.act(net.bn1(net.conv1(self.front(films)))))
        maps: Tensor = net.layer4(net.layer3(net.layer2(net.layer1(x))))
        return maps
