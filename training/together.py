"""Layers that go by the whole batch, over the films of all processes, so that their number changes nothing.

torch's own `SyncBatchNorm` needs graphics cards.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from training.ranks import Ranks


class _Summed(torch.autograd.Function):
    """The sum of the processes' tensors; its gradient is that of all their losses."""

    @staticmethod
    def forward(_: Any, part: Tensor) -> Tensor:
        whole = part.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].contiguous().clone()
        distributed.all_reduce(whole)
        return whole


class Synchronised(nn.Module):
    """A layer's statistics over the batches (n, c, ...) of all processes; in evaluation the layer itself.

    Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithm 1. Names, weights and buffers are the layer's own.
    """

    def __init__(self, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps, self.momentum = layer.eps, layer.momentum or 0.0
        self.weight, self.bias = layer.weight, layer.bias
        for name, value in layer.named_buffers():
            self.register_buffer(name, value)

    def forward(self, films: Tensor) -> Tensor:
        """As the layer: of the shape and type that came."""
        if not self.training:
            kept, spread = self.get_buffer("running_mean"), self.get_buffer("running_var")
            return functional.batch_norm(films, kept, spread, self.weight, self.bias, eps=self.eps)
        values = films.to(torch.promote_types(films.dtype, torch.float32))
        pixels = (0, *range(2, values.ndim))
        sums = torch.stack([values.sum(dim=pixels), values.square().sum(dim=pixels)])
        count = sums.new_full((2, 1), values.numel() / values.shape[1])
        whole = _Summed.apply(torch.cat([sums, count], dim=1))  # type: ignore[no-untyped-call]
        count = whole[0, -1].detach()
        mean, square = whole[:, :-1] / count
        variance = (square - mean.square()).clamp_min(0)
        self._keep(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        shape = (-1, *(1 for _ in pixels[1:]))
        normalised: Tensor = values * scale.view(shape) + shift.view(shape)
        return normalised.to(films.dtype)

    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        """Move what evaluation goes by towards this batch's mean and unbiased variance (c,)."""
        self.get_buffer("running_mean").lerp_(mean, self.momentum)
        self.get_buffer("running_var").lerp_(variance, self.momentum)
        self.get_buffer("num_batches_tracked").add_(1)


class Dropped(nn.Module):
    """Dropout as of the whole batch in one process: all draw the same for all films, and each takes its part."""

    def __init__(self, share: float, ranks: Ranks) -> None:
        super().__init__()
        self.share = share
        self.ranks = ranks

    def forward(self, films: Tensor) -> Tensor:
        """Values (n, ...) of the shape and type that came."""
        if not self.training or not self.share:
            return films
        counts = self.ranks.lengths(len(films))
        kept = films.new_ones(sum(counts), *films.shape[1:])
        if films.ndim == 4 and films.is_contiguous(memory_format=torch.channels_last):
            kept = kept.contiguous(memory_format=torch.channels_last)  # the order in which one process would draw
        before = sum(counts[: self.ranks.rank])
        return films * functional.dropout(kept, self.share)[before : before + len(films)]


def synchronise(network: nn.Module, ranks: Ranks, device: torch.device) -> None:
    """Let the layers of a network see the whole batch."""
    if ranks.count == 1:
        return
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Dropout):
            network.set_submodule(name, Dropped(layer.p, ranks))
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and device.type == "cpu":
            network.set_submodule(name, Synchronised(layer))
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
