"""One training run, from films and starting weights to finished weights.

A run is a folder: recipe.json, conditions.json, splits.csv, log.jsonl and curves.svg, checkpoint.pt (to resume),
weights.safetensors (when done). It is saved at the end of every epoch, and every epoch seeds itself, so that a run
killed at any point resumes to the result that it would have had.

Of several processes (`ranks`) each takes its part of every batch; the first alone judges validation films and writes.
"""

import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from safetensors.torch import save
from torch import Tensor, nn

from cxr_node.errors import ConfigError
from cxr_node.inference.build import sha256
from cxr_node.inference.network import FilmNetwork
from training import curves, precision
from training.data import Film
from training.epochs import Pictures, Shown, batches_of, chances_of, loaded, prepared
from training.files import write_whole
from training.frozen import Head, computed_once, features_of, training_features
from training.networks import NETWORKS
from training.networks.weights import load_public
from training.priming import film_batches, prime
from training.ranks import ALONE, Ranks
from training.recipe import Recipe
from training.robust import Robust
from training.run import Conditions, Run, network_of
from training.settling import settle
from training.splits import films_of
from training.task import Batch, Task, task_of
from training.trainer import Trainer
from training.transforms import random_changes

THREADS = {"cpu": 0, "cuda": 8}
"""That change films at random while the network learns: a processor that computes has none to spare."""


def starting_file(recipe: Recipe, given: Path) -> Path:
    """The public weights that the recipe starts from: `given` itself, or the file of their name in the folder `given`.

    Raises:
        ConfigError: it is not there, or is another file; the sentence says where a site gets it.
    """
    public = NETWORKS[recipe.network].public
    if public is None:
        raise ConfigError(f"The network {recipe.network} has no public weights; the recipe must not ask for any.")
    path = given / public.file if given.is_dir() or not given.exists() else given
    if not path.is_file():
        raise ConfigError(
            f"The public weights {public.file} are not at hand ({path} is missing). Get them from {public.where}, and "
            "name their folder or file with --weights; or train without them, with --from-scratch."
        )
    if not sha256(path).startswith(recipe.weights_sha256):
        raise ConfigError(f"{path} is not the file whose SHA-256 begins with {recipe.weights_sha256}.")
    return path


def starting_network(recipe: Recipe, public: Path | None, before: Run | None) -> FilmNetwork:
    """The network with public weights under a new head, with those of the run `before`, or with random ones.

    Raises:
        ConfigError: the weights are of another network, or the run before is not finished.
    """
    network = network_of(recipe)
    if before is not None:
        try:
            network.load_state_dict(before.state())
        except RuntimeError as error:
            raise ConfigError(f"{before.directory} holds another network than the recipe's: {error}") from error
    elif public is not None:
        load_public(network, recipe.network, public)
    return network


@torch.inference_mode()
def logits_of(network: nn.Module, batches: Iterable[Tensor]) -> NDArray[np.float64]:
    """The logits (n, outputs) of films in batches (n, 1, size, size)."""
    device = next(network.parameters()).device
    parts = [network(batch.to(device).contiguous(memory_format=torch.channels_last)) for batch in batches]
    return np.concatenate([part.double().cpu().numpy() for part in parts])


def validate(network: nn.Module, task: Task, films: Sequence[Film], batches: Iterable[Tensor]) -> dict[str, float]:
    """Loss, accuracy and the task's figures of validation films; `batches` are the same films, prepared."""
    logits = logits_of(network, batches)
    targets = [task.targets(film) for film in films]
    batch = {name: torch.as_tensor(np.stack([each[name] for each in targets])) for name in targets[0]}
    shown = torch.from_numpy(logits).float()
    return {
        "validation loss": float(task.losses(shown, batch).mean()),
        "validation accuracy": float(task.correct(shown, batch).float().mean()),
        **task.figures(logits, films),
    }


def fit(
    recipe: Recipe,
    films: Sequence[Film],
    run: Run,
    *,
    name: str = "",
    start: Path | None = None,
    before: Run | None = None,
    limit: int | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    variants: int | None = None,
    stand_in: str = "",
    device: str = "cpu",
    ranks: Ranks = ALONE,
) -> None:
    """Train from the public weights `start`, from the run `before`, or from scratch; or on from the run's checkpoint.

    `limit` is the most films of each split, `epochs` the most epochs. So many `minutes` after films were prepared no
    epoch is begun any more; the run then has the weights so far, and goes on when it is called again. With `variants` a
    frozen network computes its features once, from so many variants of each film's random changes. `stand_in` says what
    stands in for the recipe's films, `device` is cpu or cuda. Every one of the processes `ranks` makes the same call.

    Raises:
        ConfigError: a batch has fewer films than there are processes, or films, weights or checkpoint cannot be used.
        Transient: CHECKPOINT: the disk is full.
    """
    used = films_of(recipe, films, limit)
    train = [film for film in used if film.split == "train"]
    batch = min(recipe.fit.batch, len(train))
    if batch < ranks.count:
        raise ConfigError(f"A batch of {batch} films is too small for {ranks.count} processes; start fewer.")
    short = recipe.shortened(epochs)
    scratch = start is None and before is None and bool(recipe.weights_sha256 or recipe.starts_from)
    digest = sha256(start) if start else ""
    card = f"{torch.cuda.get_device_name()}, torch {torch.__version__}" if device == "cuda" else ""
    conditions = Conditions(
        name, digest, scratch, limit, short.fit.all_epochs, recipe.fit.all_epochs, variants, stand_in,
        card, ranks.count, precision.name(torch.device(device)),
    )  # fmt: skip
    resumed = ranks.by_first(lambda: _begun(run, short, conditions, used))
    torch.manual_seed(recipe.seed)
    task = task_of(short, train)
    network = starting_network(short, start, before)
    if not resumed and ranks.first:
        prime(network, used, short, task)
    answers = answers_of(train, task)
    robust = Robust(short.fit, network, answers, ranks)
    trainer = Trainer(short, network, task, robust, torch.device(device))
    if resumed:
        trainer.load(run.checkpoint)
    validation = [film for film in used if film.split == "val"]
    _run_epochs(trainer, train, answers, validation, run, minutes=minutes, variants=variants)
    ranks.by_first(lambda: _finish(trainer, validation, run))


def _begun(run: Run, recipe: Recipe, conditions: Conditions, films: Sequence[Film]) -> bool:
    """Begin the run; whether it goes on from a checkpoint."""
    run.begin(recipe, conditions, films)
    return run.checkpoint.exists()


def _finish(trainer: Trainer, validation: Sequence[Film], run: Run) -> None:
    """Write the averaged weights."""
    finished = trainer.averaged().cpu()
    settle(finished, validation, trainer.recipe, trainer.task)
    state = {name: value.contiguous() for name, value in finished.state_dict().items()}
    write_whole(run.weights, lambda stream: stream.write(save(state)))


def answers_of(films: Sequence[Film], task: Task) -> list[Batch]:
    """What goes into a batch beside each film: the task's targets, and as places its `source` and its `group`.

    A group is the films of one source and class.
    """
    sources = sorted({film.source for film in films})
    groups = sorted({(film.source, task.target(film) or 0) for film in films})
    return [
        {
            "source": np.int64(sources.index(film.source)),
            "group": np.int64(groups.index((film.source, task.target(film) or 0))),
            **task.targets(film),
        }
        for film in films
    ]


def _run_epochs(
    trainer: Trainer,
    train: Sequence[Film],
    answers: Sequence[Batch],
    validation: Sequence[Film],
    run: Run,
    *,
    minutes: float | None,
    variants: int | None,
) -> None:
    if trainer.finished:
        return
    recipe, task, ranks = trainer.recipe, trainer.task, trainer.ranks
    console = Console(quiet=not ranks.first)
    began = time.monotonic()
    pictures = prepared(train, recipe, ranks, console)
    once = computed_once(recipe, trainer.network, variants)
    judged = list(film_batches(validation, recipe)) if ranks.first else []
    shown: Shown = Pictures(pictures, answers, random_changes(recipe))
    if once:
        shown = training_features(trainer, pictures, answers, variants or 1, console)
        judged = [features_of(trainer.network, [batch]) for batch in judged]
    chances = chances_of(train, task, recipe)
    ends = math.inf if minutes is None else time.monotonic() + 60 * minutes
    while ranks.by_first(lambda: not trainer.finished and time.monotonic() < ends):
        batches = batches_of(recipe, len(train), chances, trainer.epoch)
        torch.manual_seed(recipe.seed + trainer.epoch)
        mine = loaded(shown, [ranks.part(batch) for batch in batches], THREADS[trainer.device.type])
        told = f"epoch {trainer.epoch + 1}"
        watched = track(mine, told, len(batches), console=console, disable=not console.is_terminal)
        figures = trainer.run_epoch(watched, len(batches))
        figures |= ranks.by_first(lambda: _judged(trainer, once, validation, judged))
        trainer.note({"epoch": trainer.epoch, **figures, "seconds": round(time.monotonic() - began, 1)})
        began = time.monotonic()
        ranks.by_first(lambda: _keep(trainer, run))
        console.print("  ".join(f"{name} {value:.4g}" for name, value in trainer.history[-1].items()))


def _judged(trainer: Trainer, once: bool, films: Sequence[Film], batches: Sequence[Tensor]) -> dict[str, float]:
    """The figures of validation films after an epoch; `once`: the batches are their features."""
    kept = trainer.averaged()
    return validate(Head(kept) if once else kept, trainer.task, films, batches)


def _keep(trainer: Trainer, run: Run) -> None:
    """Keep what an epoch came to."""
    trainer.save(run.checkpoint)
    run.keep_log(trainer.history)
    (run.directory / "curves.svg").write_text(curves.draw(trainer.history), encoding="utf-8")
