"""Every network that the node serves, by the name that a manifest or a recipe gives it."""

from collections.abc import Callable

from cxr_node.inference.network import EfficientNetLite0, EfficientNetLite2, FilmNetwork
from cxr_node.inference.shade import ShadedLite0

NETWORKS: dict[str, Callable[[int], FilmNetwork]] = {
    "efficientnet_lite0": EfficientNetLite0,
    "efficientnet_lite2": EfficientNetLite2,
    "shaded_lite0": ShadedLite0,
}
"""Each built with its number of outputs."""
