"""A network that trusts fine detail only on films like those that it learned from, and coarse shade on all.

Tone and fine texture tell pneumonia well inside one collection of films, and mislead in the next one; the order of
brightness of coarse cells carries over (docs/training.md). So a linear template on that order always speaks, and
EfficientNet-Lite0 adds what it sees beyond it, as far as the film looks familiar: an out-of-distribution distance of
early features, after Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples", NeurIPS 2018.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cxr_node.inference.network import LITE0, WIDTH_HEAD, EfficientNetLite, EfficientNetLite0, FilmNetwork

LOW = 32
"""Pixels a side to which a film is averaged before its pixels are ranked, so that sharpness has no part in it."""
CLIPPED = 0.002
"""The lowest and the highest ranks count as this share of the pixels: black borders would reach minus infinity."""
CELLS = 7
"""Cells a side of the template: as many as EfficientNet-Lite0 has at 224 pixels."""
SOURCES = 4
"""Sources of training films that a network can keep apart."""
FIGURES = 2 * LITE0[2][3]
"""Of early features: the mean and the spread of each channel."""
FALLS = 0.3
"""Beyond a source's reach familiarity falls to 0 within this share of the distance."""


class Shade(nn.Module):
    """A linear template on the ranked brightness of CELLS x CELLS cells, the same for left and right.

    Buffers: `mean` and `spread` of each cell over the training films, (cells,), `template`, (outputs, cells), and
    `bias`, (outputs,).
    """

    mean: Tensor
    spread: Tensor
    template: Tensor
    bias: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        cells = CELLS**2
        self.register_buffer("mean", torch.zeros(cells))
        self.register_buffer("spread", torch.ones(cells))
        self.register_buffer("template", torch.zeros(outputs, cells))
        self.register_buffer("bias", torch.zeros(outputs))

    def reset_parameters(self) -> None:
        """Draw the template at random, as layers do with their weights."""
        nn.init.normal_(self.template, std=CELLS**-1)
        nn.init.zeros_(self.bias)

    def look(self, films: Tensor) -> Tensor:
        """The cells (n, CELLS ** 2) of films (n, 1, size, size), left and right averaged: a mirror changes nothing."""
        cells = self._cells(films)
        return (cells + cells.flip(-1)).flatten(1) / 2

    def _cells(self, films: Tensor) -> Tensor:
        """The mean normal score of the ranks of each cell's pixels (n, CELLS, CELLS): blind to window and gamma."""
        low = functional.adaptive_avg_pool2d(films.float(), LOW).flatten(1)
        ordered = low.sort(dim=1).values
        below = torch.searchsorted(ordered, low) + torch.searchsorted(ordered, low, right=True)
        share = (below / (2 * low.shape[1])).clamp(CLIPPED, 1 - CLIPPED)
        scores = torch.special.ndtri(share).view(-1, 1, LOW, LOW)
        return functional.adaptive_avg_pool2d(scores, CELLS)[:, 0]

    def forward(self, films: Tensor) -> Tensor:
        """What each cell says for each output (n, outputs, CELLS, CELLS); the mean of a map is the output's logit.

        The template was fitted to what `look` gives, so it weighs left and right alike: to weigh each cell by itself
        comes to the same logit, and shows on which side it is.
        """
        seen = (self._cells(films).flatten(1) - self.mean) / self.spread
        said = seen[:, None] * self.template * CELLS**2 + self.bias[:, None]
        return said.view(*said.shape[:2], CELLS, CELLS)


class Familiarity(nn.Module):
    """How like the training films of a source a film is.

    Buffers: of each source `mean` (SOURCES, FIGURES) and `precision`, the inverse covariance, (SOURCES, FIGURES,
    FIGURES) of its training films, and `reach` (SOURCES,), the Mahalanobis distance within which its validation films
    lie; 0 where there is no such source.
    """

    mean: Tensor
    precision: Tensor
    reach: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(SOURCES, FIGURES))
        self.register_buffer("precision", torch.zeros(SOURCES, FIGURES, FIGURES))
        self.register_buffer("reach", torch.zeros(SOURCES))

    def look(self, early: Tensor) -> Tensor:
        """The figures (n, FIGURES) of early features (n, FIGURES / 2, h, w)."""
        early = early.float()
        return torch.cat([early.mean(dim=(2, 3)), early.std(dim=(2, 3))], dim=1)

    def distances(self, figures: Tensor) -> Tensor:
        """Mahalanobis distances (n, SOURCES) of figures (n, FIGURES)."""
        away = figures[:, None] - self.mean
        return torch.einsum("nsf,sfg,nsg->ns", away, self.precision, away).clamp_min(0).sqrt()

    def forward(self, early: Tensor) -> Tensor:
        """Familiarity (n,) of early features: 1 within a source's reach, falling to 0 beyond it.

        Before it knows any source all is familiar.
        """
        known = self.reach > 0
        if not bool(known.any()):
            return early.new_ones(len(early))
        beyond = (self.distances(self.look(early))[:, known] / self.reach[known]).amin(dim=1) - 1
        return (1 - beyond / FALLS).clamp(0, 1)


class ShadedLite0(FilmNetwork):
    """Logits: the shade's, plus EfficientNet-Lite0's as far as the film is familiar. In training all films are.

    As far as a film is not familiar, the shade's logit counts `alone_scale` times, plus `alone_bias`, (outputs,): where
    it speaks alone it says more, and its own films set what reaches the threshold (training/settling.py).

    Feature maps are those of EfficientNet-Lite0 and a map of ones for its bias, both times familiarity, and the maps of
    the shade; so the linear layer behind them explains itself as any other does.
    """

    alone_scale: Tensor
    alone_bias: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("alone_scale", torch.ones(outputs))
        self.register_buffer("alone_bias", torch.zeros(outputs))
        self.detail: EfficientNetLite = EfficientNetLite0(outputs)
        self.shade = Shade(outputs)
        self.familiarity = Familiarity()

    def features(self, films: Tensor) -> Tensor:
        """Feature maps (n, 1281 + outputs, size / 32, size / 32)."""
        early, detail = self.detail.look(films)
        trust = early.new_ones(len(films)) if self.training else self.familiarity(early)
        return self._trusted(films, detail, trust)

    def wholly(self, films: Tensor) -> Tensor:
        """Logits (n, outputs) as if every film were familiar."""
        return self.classify(self._trusted(films, self.detail.features(films), films.new_ones(len(films))))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """As of `Module`; of weights from before it could say something else alone, the shade says the same."""
        for name in ("alone_scale", "alone_bias"):
            state_dict.setdefault(f"{prefix}{name}", getattr(self, name))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _trusted(self, films: Tensor, detail: Tensor, trust: Tensor) -> Tensor:
        """The feature maps with the detail's times trust (n,), and the shade's as it speaks beside it or alone."""
        trust = trust[:, None, None, None]
        ones = torch.ones_like(detail[:, :1])
        shade = _fitted(self.shade(films), detail.shape[-2:])
        alone = shade * self.alone_scale[:, None, None] + self.alone_bias[:, None, None]
        return torch.cat([torch.cat([detail, ones], dim=1) * trust, alone + trust * (shade - alone)], dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, outputs)."""
        pooled = features.mean(dim=(2, 3))
        detail, trust, shade = pooled[:, :WIDTH_HEAD], pooled[:, WIDTH_HEAD, None], pooled[:, WIDTH_HEAD + 1 :]
        head = self.detail.classifier
        return functional.linear(self.detail.drop(detail), head.weight) + trust * head.bias + shade

    def pooled_head(self) -> nn.Linear:
        """The one linear layer that `classify` comes to."""
        own = self.detail.classifier
        outputs = len(own.bias)
        head = nn.Linear(WIDTH_HEAD + 1 + outputs, outputs, device=own.weight.device)
        with torch.no_grad():
            head.weight.copy_(torch.cat([own.weight, own.bias[:, None], torch.eye(outputs).to(own.weight)], dim=1))
            head.bias.zero_()
        return head


def _fitted(maps: Tensor, size: torch.Size) -> Tensor:
    """Maps (n, c, h, w) at another size, each with the mean that it had."""
    if maps.shape[-2:] == size:
        return maps
    resized = functional.interpolate(maps, size=size, mode="bilinear")
    return resized + (maps.mean(dim=(2, 3), keepdim=True) - resized.mean(dim=(2, 3), keepdim=True))
