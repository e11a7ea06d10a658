"""Films a second of training, against a plain PyTorch loop with the same network, preparation, changes and batch.

The plain loop is what one writes first: a data set that reads, prepares and changes a film whenever it is asked for
one, PyTorch's loader, AdamW. What each of our means brings to it is told by adding them to it.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cxr_node.demo.phantom import project
from cxr_node.inference.network import FilmNetwork, channels_last
from tests.benchmarks.figures import Figure, Scale, ratios
from training import recipe as recipes
from training.data import Film
from training.epochs import Pictures, batches_of, loaded, prepared
from training.fit import THREADS, answers_of
from training.pictures import prepared_film
from training.precision import half
from training.ranks import ALONE
from training.recipe import Recipe
from training.robust import Robust
from training.run import network_of
from training.task import Task, task_of
from training.trainer import Trainer
from training.transforms import changed, random_changes

RECIPE = "cxr-pneumonia-1.0"
SIDES = (1000, 1200)
"""Rows and columns of the films, as many as Kermany's have."""
LABELS = ("normal", "bacterial_pneumonia", "viral_pneumonia")
OURS, PLAIN = "cxr-train train", "a plain loop"
FIRST, LATER, COST = "first epoch, with reading", "later epochs", "a film's processor time, both epochs"
STEPS = 2
"""Batches in an epoch."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the plain loop is given."""

    workers: int = 0
    cached: bool = False
    mixed: bool = False
    """bfloat16 by autocast, and channels last."""


LOOPS = {
    PLAIN: Means(),
    "and 2 workers": Means(workers=2),
    "and a cache": Means(cached=True),
    "and a cache and bfloat16": Means(cached=True, mixed=True),
    "and a cache, bfloat16 and 2 workers": Means(cached=True, mixed=True, workers=2),
}


class Plain(Dataset[dict[str, Any]]):
    """Films read, prepared and changed when they are asked for; with a cache, read and prepared once."""

    def __init__(self, films: Sequence[Film], recipe: Recipe, task: Task, cached: bool) -> None:
        self.films, self.recipe, self.task = films, recipe, task
        self.changes = random_changes(recipe)
        self.kept = [self._prepared(film) for film in films] if cached else None

    def __len__(self) -> int:
        return len(self.films)

    def _prepared(self, film: Film) -> np.ndarray:
        return prepared_film(film, self.recipe.size, self.recipe.prepare)[None]

    def __getitem__(self, place: int) -> dict[str, Any]:
        film = self.films[place]
        picture = self.kept[place] if self.kept else self._prepared(film)
        seed = int(torch.randint(2**32, ()))
        return {"film": changed(picture, self.changes, seed), **self.task.targets(film)}


def measure(folder: Path, scale: Scale) -> Iterator[Figure | str]:
    """All ways in turn, so that a busy moment of the machine falls on all; the loss is taken in every step."""
    recipe = recipes.load(recipes.shipped()[RECIPE]).changed({"data.films_per_epoch": None, "data.shares": {}})
    batch = recipe.fit.batch if scale.name == "full" else 4
    recipe = recipe.changed({"fit.batch": batch, "fit.warm_up_epochs": 0})
    films = _films(folder, STEPS * batch)
    ways: dict[str, Callable[[], Iterator[float]]] = {OURS: lambda: _ours(films, recipe)}
    own = half(torch.device("cpu"))
    loops = {name: means for name, means in LOOPS.items() if own or not means.mixed}
    ways |= {name: lambda means=means: _plainly(films, recipe, means) for name, means in loops.items()}
    taken: dict[str, list[tuple[float, ...]]] = {name: [] for name in ways}
    for _ in range(scale.rounds):
        for name, way in ways.items():
            before = sum(os.times()[:4])
            epochs = [len(films) / seconds for seconds in way()]
            spent = sum(os.times()[:4]) - before  # of this process and of those that it started and that have ended
            taken[name].append((*epochs, 1000 * spent / len(films) / len(epochs)))
    for place, (column, unit) in enumerate(((FIRST, "films/s"), (LATER, "films/s"), (COST, "ms"))):
        figures = {name: Figure(name, column, unit, [each[place] for each in taken[name]]) for name in ways}
        for figure in figures.values():
            yield figure
            yield ratios(figure, figures[PLAIN], f"{column}, against {PLAIN}")
    what = f"{RECIPE} ({recipe.network}, {recipe.size} pixels, batch {batch})"
    yield f"{what}, {len(films)} JPEG films of {SIDES[1]} x {SIDES[0]}."
    if not own:
        yield "This processor does not multiply in bfloat16: single precision throughout, and no loop with bfloat16."
    yield from _parts(films, recipe)


def _films(folder: Path, count: int) -> list[Film]:
    """Phantoms of one source as JPEG files, each of other noise."""
    phantom, random = project(rows=SIDES[0], columns=SIDES[1], seed=1), np.random.default_rng(1)
    grey = phantom / phantom.max() * 230
    found = []
    for number in range(count):
        path = folder / f"{number}.jpg"
        cv2.imwrite(str(path), np.clip(grey + random.normal(0, 4, grey.shape), 0, 255).astype(np.uint8))
        found.append(Film(path, "kermany", f"p{number}", LABELS[number % len(LABELS)], "PA", "train"))
    return found


def _ours(films: Sequence[Film], recipe: Recipe) -> Iterator[float]:
    """Seconds of two epochs, as `training.fit` does them."""
    task = task_of(recipe, films)
    answers = answers_of(films, task)
    torch.manual_seed(1)
    network = network_of(recipe)
    trainer = Trainer(recipe, network, task, Robust(recipe.fit, network, answers), torch.device("cpu"))
    began = time.perf_counter()
    shown = Pictures(prepared(films, recipe, ALONE, Console(quiet=True)), answers, random_changes(recipe))
    for epoch in range(2):
        batches = batches_of(recipe, len(films), None, epoch)
        trainer.run_epoch(loaded(shown, batches, THREADS["cpu"]), len(batches))
        yield time.perf_counter() - began
        began = time.perf_counter()


def _plainly(films: Sequence[Film], recipe: Recipe, means: Means) -> Iterator[float]:
    """Seconds of two epochs of a plain loop."""
    task = task_of(recipe, films)
    torch.manual_seed(1)
    network = network_of(recipe).train()
    if means.mixed:
        channels_last(network)
    began = time.perf_counter()
    shown = Plain(films, recipe, task, means.cached)
    loader = DataLoader(
        shown, recipe.fit.batch, shuffle=True, drop_last=True, num_workers=means.workers,
        persistent_workers=means.workers > 0,
    )  # fmt: skip
    optimiser = torch.optim.AdamW(network.parameters(), recipe.fit.rate, weight_decay=recipe.fit.weight_decay)
    for _ in range(2):
        _epoch(network, task, optimiser, loader, means.mixed)
        yield time.perf_counter() - began
        began = time.perf_counter()


def _epoch(
    network: FilmNetwork, task: Task, optimiser: torch.optim.Optimizer, batches: Iterable[dict[str, Any]], mixed: bool
) -> None:
    for batch in batches:
        film: Tensor = batch["film"]
        if mixed:
            film = film.contiguous(memory_format=torch.channels_last)
        optimiser.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            logits = network(film)
        loss = task.losses(logits.float(), batch).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()


def _parts(films: Sequence[Film], recipe: Recipe) -> Iterator[Figure]:
    """What of a film's time is not the network's: reading with preparing, and changing at random."""
    few, changes = films[:16], random_changes(recipe)
    pictures = [prepared_film(film, recipe.size, recipe.prepare)[None] for film in few]
    for name, work in (
        ("read and prepare a film", lambda: [prepared_film(film, recipe.size, recipe.prepare) for film in few]),
        ("change it at random", lambda: [changed(each, changes, 1 + seed) for seed, each in enumerate(pictures)]),
    ):
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            work()
            taken.append(1000 * (time.perf_counter() - began) / len(few))
        yield Figure(name, "one film", "ms", taken, group="Beside the network, in one thread")
