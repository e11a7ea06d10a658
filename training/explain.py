"""Does the heat lie where it should, and does it say anything about the network? Scores of explanations.

Pointing game (Zhang et al., IJCV 126:1084, 2018), share of the heat within lungs or boxes, deletion and insertion
(Petsiuk et al., BMVC 2018, arXiv 1806.07421), and whether the map changes when the weights are randomised (Adebayo et
al., NeurIPS 2018, arXiv 1810.03292). Occlusion as document 002: a window of 15 x 15, stride 10.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from cxr_node.inference.explain import explain
from cxr_node.inference.network import FilmNetwork
from training.annotations import Annotations, Kind, Region
from training.bootstrap import patients_of, resamples
from training.data import Film
from training.metrics import Floats, share
from training.priming import film_batches
from training.recipe import Recipe

Heat = NDArray[np.float32]
Method = Literal["cam", "gradcam", "occlusion"]

WINDOW, STRIDE = 15, 10
BATCH = 32
STEPS = 20
"""In so many equal steps pixels are deleted or inserted."""
BLUR = 0.05
"""Deleted pixels are of the film blurred with this sigma, as a share of its side."""
SEED = 11
CHANGED = 0.5
"""A map that correlates more with that of randomised weights says little about the weights."""


@dataclass(frozen=True, slots=True)
class Explainer:
    """A network, and how its maps are made. With one logit for two classes, the finding's, `single` is set."""

    network: FilmNetwork
    recipe: Recipe
    method: Method
    single: bool

    def heat(self, films: Tensor, places: Sequence[int]) -> Heat:
        """What speaks for the class at each film's place, (n, size, size), 0 or more, of films (n, 1, size, size)."""
        maps = self._occluded(films) if self.method == "occlusion" else self._maps(films)
        evidence = np.stack([self._evidence(each, place) for each, place in zip(maps, places, strict=True)])
        side = self.recipe.size
        grown = [cv2.resize(each, (side, side), interpolation=cv2.INTER_LINEAR) for each in evidence]
        return np.asarray(np.maximum(np.stack(grown), 0), dtype=np.float32)

    def probabilities(self, films: Tensor) -> Floats:
        """Uncalibrated, (n, classes)."""
        with torch.inference_mode():
            logits = self.network(films)
        if self.single:
            logits = torch.stack([torch.zeros(len(films)), logits[:, 0]], dim=1)
        return np.asarray(torch.softmax(logits.double(), dim=1).numpy())

    def randomised(self) -> "Explainer":
        """The same with every weight drawn anew."""
        network = copy.deepcopy(self.network)
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            for module in network.modules():
                if callable(reset := getattr(module, "reset_parameters", None)):
                    reset()
        return Explainer(network.eval(), self.recipe, self.method, self.single)

    def _maps(self, films: Tensor) -> Heat:
        _, maps, _ = explain(self.network, films, "gradcam" if self.method == "gradcam" else "cam")
        return np.asarray(maps.numpy(), dtype=np.float32)

    def _occluded(self, films: Tensor) -> Heat:
        """By how much each logit falls, on average, when a window over the pixel hides the film (n, outputs, h, w)."""
        side = films.shape[-1]
        starts = [*range(0, side - WINDOW, STRIDE), side - WINDOW]
        corners = [(top, left) for top in starts for left in starts]
        counts = np.zeros((side, side), dtype=np.float32)
        for top, left in corners:
            counts[top : top + WINDOW, left : left + WINDOW] += 1
        maps = []
        with torch.inference_mode():
            for film in films:
                whole = self.network(film[None])[0]
                fallen = np.zeros((len(whole), side, side), dtype=np.float32)
                for start in range(0, len(corners), BATCH):
                    hidden = film.repeat(len(corners[start : start + BATCH]), 1, 1, 1)
                    for each, (top, left) in zip(hidden, corners[start : start + BATCH], strict=True):
                        each[:, top : top + WINDOW, left : left + WINDOW] = film.mean()
                    falls = (whole - self.network(hidden)).numpy()
                    for fall, (top, left) in zip(falls, corners[start : start + BATCH], strict=True):
                        fallen[:, top : top + WINDOW, left : left + WINDOW] += fall[:, None, None]
                maps.append(fallen / counts)
        return np.asarray(np.stack(maps), dtype=np.float32)

    def _evidence(self, maps: Heat, place: int) -> Heat:
        """For one class against the mean of the others."""
        if self.single:
            return np.asarray(maps[0] if place == 1 else -maps[0])
        others = np.delete(maps, place, axis=0)
        return np.asarray(maps[place] - others.mean(axis=0), dtype=np.float32)


def located(
    explainer: Explainer, films: Sequence[Film], places: Sequence[int], annotations: Annotations, kind: Kind
) -> dict[str, Any] | None:
    """How often the hottest pixel lies in the region, what share of the heat does, and what share of the film it is.

    None where no film has such a region, or no heat.
    """
    recipe = explainer.recipe
    regions = [annotations.region(film, kind, recipe.size, recipe.prepare) for film in films]
    there = [place for place, region in enumerate(regions) if region is not None]
    rows, kept = [], []
    for place in there:
        region = regions[place]
        heat = explainer.heat(_prepared([films[place]], recipe), [places[place]])[0]
        if region is not None and heat.sum() > 0:
            rows.append(_within(heat, region))
            kept.append(films[place])
    if not rows:
        return None
    drawn = resamples(patients_of(kept))
    pointing, inside, area = (np.array(column) for column in zip(*rows, strict=True))
    return {
        "films": len(kept),
        "without_heat": len(there) - len(kept),
        "pointing": drawn.estimate(lambda w: share(pointing, w)),
        "heat_inside": drawn.estimate(lambda w: share(inside, w)),
        "region_share": float(area.mean()),
    }


def faithfulness(explainer: Explainer, films: Sequence[Film], places: Sequence[int]) -> dict[str, Any]:
    """The mean probability of the class while the hottest pixels are deleted, where small is good, or inserted.

    `random_*` is the same with pixels in random order: a map must do better than that to say anything.
    """
    random = np.random.default_rng(SEED)
    columns: dict[str, list[float]] = {"deletion": [], "insertion": [], "random_deletion": [], "random_insertion": []}
    for film, place in zip(films, places, strict=True):
        shown = _prepared([film], explainer.recipe)
        heat = explainer.heat(shown, [place])[0]
        noise = random.random(heat.shape)
        for prefix, order in (("", heat + 1e-9 * noise), ("random_", noise)):
            for name, value in _curves(explainer, shown, order, place).items():
                columns[f"{prefix}{name}"].append(value)
    return {"films": len(films), **{name: float(np.mean(values)) for name, values in columns.items()}}


def sanity(explainer: Explainer, films: Sequence[Film], places: Sequence[int]) -> dict[str, Any]:
    """Mean rank correlation of the maps with those of randomised weights, which must be low."""
    other = explainer.randomised()
    found = []
    for film, place in zip(films, places, strict=True):
        shown = _prepared([film], explainer.recipe)
        pair = [each.heat(shown, [place])[0].ravel()[::7] for each in (explainer, other)]
        if pair[0].std() > 0:  # a map without heat has nothing to lose; one that randomising empties has lost it all
            found.append(abs(float(spearmanr(*pair).statistic)) if pair[1].std() > 0 else 0.0)
    mean = float(np.mean(found)) if found else None
    return {"films": len(found), "correlation": mean, "changes": None if mean is None else mean < CHANGED}


def _within(heat: Heat, region: Region) -> tuple[bool, float, float]:
    hottest = np.unravel_index(int(heat.argmax()), heat.shape)
    return bool(region[hottest]), float(heat[region].sum() / heat.sum()), float(region.mean())


def _curves(explainer: Explainer, shown: Tensor, order: NDArray[Any], place: int) -> dict[str, float]:
    """Areas under the class's probability as pixels go from the film into its blur and back."""
    film = shown[0, 0].numpy()
    blurred = cv2.GaussianBlur(film, (0, 0), BLUR * len(film))
    ranks = np.empty(film.size)
    ranks[np.argsort(-order, axis=None)] = np.arange(film.size) / film.size
    hottest = ranks.reshape(film.shape)
    steps = np.linspace(0, 1, STEPS + 1)

    def area(inside: NDArray[Any], outside: NDArray[Any]) -> float:
        batch = torch.from_numpy(np.stack([np.where(hottest < step, inside, outside) for step in steps])[:, None])
        return float(np.trapezoid(explainer.probabilities(batch)[:, place], steps))

    return {"deletion": area(blurred, film), "insertion": area(film, blurred)}


def _prepared(films: Sequence[Film], recipe: Recipe) -> Tensor:
    return next(film_batches(films, recipe, batch=len(films)))
