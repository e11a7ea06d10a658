"""What a network learns of its films at one look, before the first step: means, the shade, what is familiar."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from cxr_node.errors import ConfigError
from cxr_node.inference.network import FilmNetwork
from cxr_node.inference.shade import SOURCES, ShadedLite0
from training.data import Film, weights
from training.networks.parts import PublicNetwork, Standardise
from training.recipe import Recipe
from training.task import Task
from training.transforms import evaluation_transforms, foreseen

RIDGE = 0.5
"""Of the shade's template; between 0.05 and 5 what carries over from one source to the other changes little."""
SHRINKAGE = 0.1
"""A covariance is mixed with so much of the same variance in every direction."""
REACHED = 0.95
"""The share of a source's validation films within its reach."""
DRAWN = 8192
"""Films drawn for the shade, as an epoch draws them."""


def film_batches(films: Sequence[Film], recipe: Recipe, batch: int = 32) -> Iterator[Tensor]:
    """Films (n, 1, size, size) as the node prepares them, in their order.

    Raises:
        ConfigError: a film cannot be used.
    """
    prepare = evaluation_transforms(recipe)
    for start in range(0, len(films), batch):
        with foreseen():
            shown = [prepare({"film": film})["film"] for film in films[start : start + batch]]
        yield torch.from_numpy(np.stack(shown))


def prime(network: FilmNetwork, films: Sequence[Film], recipe: Recipe, task: Task) -> None:
    """Give a network what it knows of the training films without steps, if it is one that knows something.

    Raises:
        ConfigError: a film cannot be used, or there are more sources than the network can keep apart.
    """
    if isinstance(network, ShadedLite0):
        _shade(network, films, recipe, task)
    elif isinstance(network, PublicNetwork) and isinstance(network.front, Standardise):
        _standardise(network.front, [film for film in films if film.split == "train"], recipe)


def _standardise(front: Standardise, films: Sequence[Film], recipe: Recipe) -> None:
    """Give a front that standardises the mean and deviation of the training films' pixels."""
    moments = np.array(
        [(batch.double().mean(), batch.double().square().mean(), len(batch)) for batch in film_batches(films, recipe)]
    )
    mean, square = np.average(moments[:, :2], axis=0, weights=moments[:, 2])
    front.load_state_dict({"mean": torch.tensor(mean), "deviation": torch.tensor(np.sqrt(square - mean**2))})


@torch.no_grad()
def _shade(network: ShadedLite0, films: Sequence[Film], recipe: Recipe, task: Task) -> None:
    """Fit the template, measure what is familiar, and let the detail begin with nothing to say."""
    used = [film for film in films if film.split in ("train", "val")]
    network.eval()
    shade, figures = [], []
    for batch in film_batches(used, recipe):
        shade.append(network.shade.look(batch))
        figures.append(network.familiarity.look(network.detail.early(batch)))
    training = torch.tensor([film.split == "train" for film in used])
    train = [film for film in used if film.split == "train"]
    _fit_template(network, torch.cat(shade)[training], train, recipe, task)
    _measure_familiar(network, torch.cat(figures), used)
    torch.nn.init.zeros_(network.detail.classifier.weight)
    torch.nn.init.zeros_(network.detail.classifier.bias)


def _fit_template(network: ShadedLite0, seen: Tensor, films: Sequence[Film], recipe: Recipe, task: Task) -> None:
    """The template with the least loss of the task on films drawn as an epoch draws them, and a ridge."""
    drawn_as = weights(films, [task.target(film) for film in films], recipe.data.shares) if recipe.data.shares else None
    chances = torch.tensor(drawn_as) if drawn_as else torch.ones(len(films))
    drawn = torch.multinomial(chances, DRAWN, replacement=True, generator=torch.Generator().manual_seed(recipe.seed))
    cells, targets = seen[drawn], [task.targets(films[place]) for place in drawn.tolist()]
    batch = {name: torch.as_tensor(np.stack([each[name] for each in targets])) for name in targets[0]}
    shade = network.shade
    shade.mean.copy_(cells.mean(dim=0))
    shade.spread.copy_(cells.std(dim=0))
    cells = (cells - shade.mean) / shade.spread
    template, bias = (torch.zeros_like(each, requires_grad=True) for each in (shade.template, shade.bias))
    solver = torch.optim.LBFGS([template, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        found = task.losses(cells @ template.T + bias, batch).mean() + RIDGE * template.square().sum()
        torch.autograd.backward(found)
        return found

    with torch.enable_grad():
        solver.step(loss)  # type: ignore[no-untyped-call]
    shade.template.copy_(template)
    shade.bias.copy_(bias)


def _measure_familiar(network: ShadedLite0, figures: Tensor, films: Sequence[Film]) -> None:
    """Mean, inverse covariance and reach of each source's figures (n, f)."""
    sources = sorted({film.source for film in films if film.split == "train"})
    if len(sources) > SOURCES:
        raise ConfigError(f"The network keeps {SOURCES} sources apart, not {len(sources)}: {', '.join(sources)}.")
    familiarity = network.familiarity
    for place, source in enumerate(sources):
        of = {
            split: figures[
                [number for number, film in enumerate(films) if (film.source, film.split) == (source, split)]
            ]
            for split in ("train", "val")
        }
        spread = torch.cov(of["train"].double().T)
        even = torch.eye(len(spread), dtype=torch.float64) * spread.diagonal().mean()
        familiarity.mean[place] = of["train"].mean(dim=0)
        familiarity.precision[place] = torch.linalg.inv((1 - SHRINKAGE) * spread + SHRINKAGE * even)
        judged = of["val"] if len(of["val"]) else of["train"]
        familiarity.reach[place] = familiarity.distances(judged)[:, place].quantile(REACHED)
