"""Every network of the five documents and our own, by name, and the public weights that each may start from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cxr_node.inference.network import EfficientNetLite0, EfficientNetLite2, FilmNetwork
from cxr_node.inference.shade import ShadedLite0
from training.networks.inception import InceptionV3
from training.networks.parts import FRONTS, HEADS, PublicNetwork
from training.networks.plain import LeNet5, NormedCnn, PlainCnn
from training.networks.residual import DenseNet121, ResNet50, densenet_key, resnet_key
from training.networks.vgg import AlexNet, Vgg16, Vgg16Pooled
from training.networks.xception import Xception

TORCHVISION = "https://download.pytorch.org/models/"


def _same(key: str) -> str:
    return key


def shaded_key(key: str) -> str:
    """The name in ours of one of EfficientNet-Lite0's parameters."""
    return f"detail.{key}"


def vgg_key(key: str) -> str:
    """The name in ours of one of torchvision's parameters of AlexNet and VGG16."""
    return key.replace("features.", "body.")


@dataclass(frozen=True, slots=True)
class Public:
    """A file of ImageNet weights: its name, where a site gets it, how its keys are called in our network.

    Keys that begin with one of `beside` belong to parts that our network does not have.
    """

    file: str
    where: str
    rename: Callable[[str], str] = _same
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """One network: how to build it with so many outputs, where its head is, what it is known to measure."""

    build: Callable[..., FilmNetwork]
    head: str
    parameters: int
    """How many it has with `outputs` outputs: the published figure."""
    outputs: int
    public: Public | None = None


def _torchvision(file: str, rename: Callable[[str], str], *beside: str) -> Public:
    return Public(file, TORCHVISION + file, rename, beside)


NETWORKS: Mapping[str, Family] = {
    "plain_cnn": Family(PlainCnn, "classifier", 1_583_011, 3),
    "normed_cnn": Family(NormedCnn, "classifier", 1_245_313, 1),
    "lenet5": Family(LeNet5, "classifier", 61_706, 10),
    "alexnet": Family(AlexNet, AlexNet.HEAD, 61_100_840, 1000, _torchvision("alexnet-owt-7be5be79.pth", vgg_key)),
    "vgg16": Family(Vgg16, Vgg16.HEAD, 138_357_544, 1000, _torchvision("vgg16-397923af.pth", vgg_key)),
    "vgg16_pooled": Family(
        Vgg16Pooled, Vgg16Pooled.HEAD, 14_714_688 + 513_000, 1000,
        _torchvision("vgg16-397923af.pth", vgg_key, "classifier."),
    ),
    "resnet50": Family(ResNet50, ResNet50.HEAD, 25_557_032, 1000, _torchvision("resnet50-0676ba61.pth", resnet_key)),
    "densenet121": Family(
        DenseNet121, DenseNet121.HEAD, 7_978_856, 1000, _torchvision("densenet121-a639ec97.pth", densenet_key)
    ),
    "inception_v3": Family(
        InceptionV3, InceptionV3.HEAD, 23_834_568, 1000,
        _torchvision("inception_v3_google-0cc3c7bd.pth", _same, "AuxLogits."),
    ),
    "xception": Family(
        Xception, Xception.HEAD, 22_855_952, 1000,
        Public(
            "legacy_xception_imagenet_notop_fp16.safetensors",
            "Keras's Xception (weights imagenet, include_top False) under the key names of timm's legacy_xception",
        ),
    ),
    "efficientnet_lite0": Family(
        EfficientNetLite0, "classifier", 4_652_008, 1000,
        Public("tf_efficientnet_lite0_imagenet_fp32.safetensors", "timm's tf_efficientnet_lite0 (Apache-2.0)"),
    ),
    "efficientnet_lite2": Family(
        EfficientNetLite2, "classifier", 6_092_072, 1000,
        Public("tf_efficientnet_lite2_imagenet_fp32.safetensors", "timm's tf_efficientnet_lite2 (Apache-2.0)"),
    ),
    "shaded_lite0": Family(
        ShadedLite0, "detail.classifier", 4_652_008, 1000,
        Public(
            "tf_efficientnet_lite0_imagenet_fp32.safetensors", "timm's tf_efficientnet_lite0 (Apache-2.0)", shaded_key
        ),
    ),
}  # fmt: skip
"""Every network that a recipe may name."""


def build(
    name: str, outputs: int, *, head: str = "linear", front: str = "", options: Mapping[str, Any] | None = None
) -> FilmNetwork:
    """A network with random weights and so many outputs.

    `head` is one of HEADS; `front`, where given, one of FRONTS and only for networks that have public weights;
    `options` are those of the network's own constructor.

    Raises:
        KeyError: there is no such network, head or front.
        ValueError: the network has no front to replace.
        TypeError: the network has no such option.
    """
    family = NETWORKS[name]
    network = family.build(outputs, **(options or {}))
    if head != "linear":
        inputs = int(network.get_submodule(family.head).get_parameter("weight").shape[1])
        network.set_submodule(family.head, HEADS[head](inputs, outputs))
    if front:
        if not isinstance(network, PublicNetwork):
            raise ValueError(f"the network {name} has no front to replace")
        network.front = FRONTS[front]()
    return network
