"""Where in the film the evidence for each output lies.

A network that ends in average pooling and one linear layer explains itself in the forward pass: an output's class
activation map (Zhou et al., CVPR 2016, arXiv 1512.04150) is the linear layer applied before the pooling, and the mean
of the map is the logit. For any other head Grad-CAM (Selvaraju et al., ICCV 2017, arXiv 1610.02391) takes one backward
pass for each output. Occlusion covers the film window by window; see `occlusion`.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from cxr_node.inference.network import FilmNetwork
from cxr_node.inference.occlusion import occlusion

Explanation = Literal["cam", "gradcam", "occlusion"]


def explain(network: FilmNetwork, films: Tensor, wanted: Explanation) -> tuple[Tensor, Tensor, Explanation]:
    """(logits (n, outputs), maps (n, outputs, h, w), how they were made) of films (n, 1, size, size).

    A network whose head has no closed form explains itself by `gradcam`, where `cam` is wanted.
    """
    if wanted == "occlusion":
        return *occlusion(network, films), "occlusion"
    head = network.pooled_head()
    if head is None or wanted == "gradcam":
        return *grad_cam(network, films), "gradcam"
    with torch.inference_mode():
        maps = class_activation(network.features(films), head)
        return maps.mean(dim=(2, 3)), maps, "cam"


def class_activation(features: Tensor, head: nn.Linear) -> Tensor:
    """Maps (n, outputs, h, w) from feature maps (n, c, h, w); the mean of each map is its logit."""
    return torch.einsum("nchw,kc->nkhw", features, head.weight) + head.bias[:, None, None]


def grad_cam(network: FilmNetwork, films: Tensor) -> tuple[Tensor, Tensor]:
    """(logits (n, outputs), maps (n, outputs, h, w)) of films (n, 1, size, size), for any head.

    The maps keep their sign: below zero speaks against the output. Their scale is not that of the logits.
    """
    with torch.no_grad():
        features = network.features(films)
    with torch.enable_grad():
        features.requires_grad_()
        logits = network.classify(features)
        maps = []
        for output in range(logits.shape[1]):
            (gradient,) = torch.autograd.grad(logits[:, output].sum(), features, retain_graph=True)
            weights = gradient.mean(dim=(2, 3), keepdim=True)
            maps.append((weights * features).sum(dim=1))
    return logits.detach(), torch.stack(maps, dim=1).detach()
