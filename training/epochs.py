"""What an epoch shows: which films, in which order, and the random changes of each.

All of it comes from the recipe's seed, the epoch and a film's place in it, and not from who draws it or when: threads,
the processes of a run and a run that was killed come to the same films.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import default_collate

from training.data import Film, weights
from training.pictures import prepared_film
from training.ranks import Ranks
from training.recipe import Recipe
from training.task import Batch, Task
from training.transforms import SEEDS, RandomChange, changed

Key = tuple[int, int]
"""A training film's place among them, and the seed of its random changes."""
READERS = 2
"""Threads that read and prepare films."""
AHEAD = 4
"""Batches that threads make ready before they are asked for."""


class Shown(Protocol):
    """Training films as a network sees them."""

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """One film, and what goes into a batch beside it."""
        ...


class Pictures:
    """Prepared films (n, 1, size, size), changed anew every time that they are shown."""

    def __init__(self, pictures: Tensor, answers: Sequence[Batch], changes: Sequence[RandomChange]) -> None:
        self.pictures = pictures
        self.answers = answers
        self.changes = changes

    def __getitem__(self, key: Key) -> dict[str, Any]:
        place, seed = key
        return {"film": changed(self.pictures[place].numpy(), self.changes, seed), **self.answers[place]}


def prepared(films: Sequence[Film], recipe: Recipe, ranks: Ranks, console: Console) -> Tensor:
    """Films (n, 1, size, size), float32 from 0 to 1, as the node prepares them; each process prepares a part.

    Raises:
        ConfigError: a film cannot be used.
    """
    mine = ranks.part(films)
    found = torch.empty(len(mine), 1, recipe.size, recipe.size)
    with ThreadPoolExecutor(READERS) as pool:
        pictures = pool.map(lambda film: prepared_film(film, recipe.size, recipe.prepare), mine)
        shown = track(pictures, "films", len(mine), console=console, disable=not console.is_terminal)
        for place, picture in enumerate(shown):
            found.numpy()[place, 0] = picture
    return ranks.whole(found)


def chances_of(films: Sequence[Film], task: Task, recipe: Recipe) -> Tensor | None:
    """How likely each film (n,) is drawn; None where an epoch shows every film once.

    Raises:
        ConfigError: a source with a share has films of fewer than two classes.
    """
    if not recipe.data.films_per_epoch:
        return None
    return torch.tensor(weights(films, [task.target(film) for film in films], recipe.data.shares), dtype=torch.float64)


def batches_of(recipe: Recipe, films: int, chances: Tensor | None, epoch: int) -> list[list[Key]]:
    """The whole batches of an epoch, from 0 on; what is left over at its end is left out."""
    generator = torch.Generator().manual_seed(recipe.seed + epoch)
    if chances is None:
        drawn = torch.randperm(films, generator=generator)
    else:
        drawn = torch.multinomial(chances, recipe.data.films_per_epoch or films, True, generator=generator)
    seeds = torch.randint(SEEDS, drawn.shape, generator=generator)
    keys = list(zip(drawn.tolist(), seeds.tolist(), strict=True))
    batch = min(recipe.fit.batch, films)
    return [keys[start : start + batch] for start in range(0, len(keys) - batch + 1, batch)]


def loaded(shown: Shown, batches: Sequence[Sequence[Key]], threads: int) -> Iterator[Batch]:
    """Batches of films, joined; so many threads make the next ones ready meanwhile, or none does."""
    if not threads:
        for each in batches:
            yield default_collate([shown[key] for key in each])
        return
    with ThreadPoolExecutor(threads) as pool:
        coming = ([pool.submit(shown.__getitem__, key) for key in each] for each in batches)
        waiting = deque(islice(coming, AHEAD))
        try:
            while waiting:
                films = [each.result() for each in waiting.popleft()]
                waiting.extend(islice(coming, 1))
                yield default_collate(films)
        finally:
            pool.shutdown(cancel_futures=True)
