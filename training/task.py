"""What a network is asked, and so what its logits mean: targets, loss and validation figures.

`FindingAndKind` is the node's own question (two logits); `Classes` is the documents' (one logit a class, softmax).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cxr_node.errors import ConfigError
from training.data import Film
from training.metrics import roc_area
from training.recipe import Recipe

Floats = NDArray[np.float64]
Batch = dict[str, Any]


class Task(Protocol):
    """One question to a network."""

    def target(self, film: Film) -> int | None:
        """The class of a film for counting and drawing, None where the question does not concern it."""
        ...

    def targets(self, film: Film) -> dict[str, Any]:
        """What goes into a batch beside the film."""
        ...

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """The loss (n,) of each film's logits (n, outputs)."""
        ...

    def correct(self, logits: Tensor, batch: Batch) -> Tensor:
        """Which films (n,) are classified rightly, as booleans."""
        ...

    def figures(self, logits: Floats, films: Sequence[Film]) -> dict[str, float]:
        """Further validation figures of logits (n, outputs)."""
        ...


@dataclass(frozen=True, slots=True)
class FindingAndKind:
    """Pneumonia against normal, and bacterial against viral where that is known."""

    smoothing: float

    def target(self, film: Film) -> int | None:
        """0 normal, 1 pneumonia."""
        return None if math.isnan(film.pneumonia) else int(film.pneumonia)

    def targets(self, film: Film) -> dict[str, Any]:
        """`pneumonia` and `bacterial`: 0 or 1, NaN where not known."""
        return {"pneumonia": np.float32(film.pneumonia), "bacterial": np.float32(film.bacterial)}

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross entropy of pneumonia plus half of that of the kind where it is known.

        The targets are (n,); smoothing moves them towards one half.
        """
        pneumonia, bacterial = batch["pneumonia"], batch["bacterial"]
        known = ~torch.isnan(bacterial)
        kind = functional.binary_cross_entropy_with_logits(
            logits[:, 1], self._smooth(torch.nan_to_num(bacterial)), known.float(), reduction="none"
        )
        finding = functional.binary_cross_entropy_with_logits(logits[:, 0], self._smooth(pneumonia), reduction="none")
        return finding + 0.5 * kind

    def _smooth(self, target: Tensor) -> Tensor:
        return target * (1 - self.smoothing) + self.smoothing / 2

    def correct(self, logits: Tensor, batch: Batch) -> Tensor:
        """Of pneumonia against normal, at one half."""
        found: Tensor = (logits[:, 0] > 0) == (batch["pneumonia"] > 0.5)
        return found

    def figures(self, logits: Floats, films: Sequence[Film]) -> dict[str, float]:
        """The area under the ROC curve in each source, and of bacterial against viral where films are known to be."""
        finding = np.array([film.pneumonia for film in films])
        kind = np.array([film.bacterial for film in films])
        even = np.ones_like(finding)
        areas = {}
        for source in sorted({film.source for film in films}):
            there = np.array([film.source == source for film in films])
            areas[source] = float(roc_area(finding[there], logits[there, 0], even[there]))
        known = ~np.isnan(kind)
        if not known.any():
            return areas
        return areas | {"bacterial": float(roc_area(kind[known], logits[known, 1], even[known]))}


@dataclass(frozen=True, slots=True)
class Classes:
    """One of several classes, each with a weight in the loss.

    A film is told from the classes that `rivals` (by source) holds; from all of them where it has no such source.
    """

    names: tuple[str, ...]
    labels: dict[str, int]
    weights: tuple[float, ...]
    smoothing: float
    rivals: dict[str, tuple[bool, ...]]

    def target(self, film: Film) -> int | None:
        """The place of the film's class."""
        return self.labels.get(film.label)

    def targets(self, film: Film) -> dict[str, Any]:
        """`target`: the place of the film's class; `rivals`: which classes it is told from, its own among them."""
        rivals = self.rivals.get(film.source, (True,) * len(self.names))
        return {"target": np.int64(self.labels[film.label]), "rivals": np.array(rivals)}

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross entropy of the softmax over a film's rivals, weighted; smoothing is shared among them.

        Its plain mean is the loss, as in Keras: weights do not cancel within a batch.
        """
        target, rivals = batch["target"], batch["rivals"]
        weights = torch.tensor(self.weights, device=logits.device)
        shares = functional.log_softmax(logits.masked_fill(~rivals, -torch.inf), dim=1).masked_fill(~rivals, 0.0)
        own = functional.one_hot(target, len(self.names)) * (1 - self.smoothing)
        wanted = own + self.smoothing * rivals / rivals.sum(dim=1, keepdim=True)
        losses: Tensor = -(wanted * shares).sum(dim=1) * weights[target]
        return losses

    def correct(self, logits: Tensor, batch: Batch) -> Tensor:
        """The largest logit is the film's class."""
        found: Tensor = logits.argmax(dim=1) == batch["target"]
        return found

    def figures(self, logits: Floats, films: Sequence[Film]) -> dict[str, float]:
        """The share of each class's films that were recognised."""
        found, true = logits.argmax(axis=1), np.array([self.labels[film.label] for film in films])
        return {
            f"recall {name}": float(np.mean(found[true == place] == place))
            for place, name in enumerate(self.names)
            if np.any(true == place)
        }


def task_of(recipe: Recipe, train: Sequence[Film]) -> Task:
    """The question of a recipe, its loss weighted by the training films where the recipe wants that.

    Raises:
        ConfigError: a class has no training film.
    """
    if not recipe.classes:
        return FindingAndKind(recipe.fit.label_smoothing)
    names = tuple(recipe.classes)
    labels = {label: place for place, name in enumerate(names) for label in recipe.classes[name]}
    counts = [sum(labels.get(film.label) == place for film in train) for place in range(len(names))]
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty:
        raise ConfigError(f"The class {empty[0]!r} has no training film; its labels are {recipe.classes[empty[0]]}.")
    rivals = _rivals(train, names, labels) if recipe.fit.within_sources else {}
    return Classes(names, labels, _class_weights(recipe, counts), recipe.fit.label_smoothing, rivals)


def _rivals(train: Sequence[Film], names: tuple[str, ...], labels: dict[str, int]) -> dict[str, tuple[bool, ...]]:
    """For each source the classes that it has films of."""
    there = {(film.source, labels.get(film.label)) for film in train}
    return {
        source: tuple((source, place) in there for place in range(len(names)))
        for source in {film.source for film in train}
    }


def _class_weights(recipe: Recipe, counts: Sequence[int]) -> tuple[float, ...]:
    wanted = recipe.fit.class_weights
    if wanted == "even":
        return (1.0,) * len(counts)
    if wanted == "balanced":
        return tuple(sum(counts) / count / len(counts) for count in counts)
    return tuple(wanted)
