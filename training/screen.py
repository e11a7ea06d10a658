"""What helps with the next hospital: one change of a recipe after the other, each tried without each hospital in turn.

A screen is data: a recipe, how short its runs are, the hospitals, and the levers, each with what it changes. No test
film is read. What is finished is not done again.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field

from cxr_node.errors import ConfigError, CxrNodeError
from cxr_node.inference.memory import keep_freed_memory
from training import recipe as recipes
from training.augmentation import FROZEN
from training.calibrating import calibrate_run
from training.fit import fit, starting_file
from training.hospitals import elsewhere
from training.recipe import Recipe
from training.run import Run
from training.settings import read_settings
from training.sources import read_films

ALL = "all"
"""The run with every hospital."""


class Lever(BaseModel):
    """One change of the recipe, or of how the network is fitted to a hospital's films when it reads them."""

    model_config = FROZEN

    name: str
    changes: dict[str, Any] = {}
    adapt: bool = False
    """The network is normalised anew on the films of the hospital, without labels."""
    both: bool = False
    """It means nothing where one hospital alone is left, so there is only the run with all."""

    @property
    def slug(self) -> str:
        """The name as a folder may have it."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


class Screen(BaseModel):
    """The file as it is."""

    model_config = FROZEN

    recipe: str
    epochs: Annotated[int, Field(ge=1)]
    """Of a short run."""
    hospitals: Annotated[tuple[str, ...], Field(min_length=2)]
    """The sources that are left out in turn."""
    always: dict[str, Any] = {}
    """Changed in every run."""
    lever: Annotated[tuple[Lever, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Length:
    """Short runs of one seed, or the recipe's own epochs with several."""

    epochs: int | None
    seeds: int

    @property
    def name(self) -> str:
        """As a folder may have it."""
        return "whole" if self.epochs is None else f"{self.epochs}-epochs"


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a lever: how far its seed is from the recipe's, and which hospital is left out."""

    lever: Lever
    length: Length
    seed: int
    left_out: str

    @property
    def folder(self) -> Path:
        """Where it lies below the screen's runs."""
        films = ALL if self.left_out == ALL else f"without-{self.left_out}"
        return Path(self.lever.slug) / f"{self.length.name}-{self.seed + 1}-{films}"


def trials(screen: Screen, lever: Lever, length: Length) -> Iterator[Trial]:
    """The runs of a lever: without each hospital, and of short ones one with all."""
    whole = length.epochs is None
    for seed in range(length.seeds):
        for left_out in (*(() if lever.both else screen.hospitals), *(() if whole else (ALL,))):
            yield Trial(lever, length, seed, left_out)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every run has: where films, public weights and the screen's runs lie, and the device."""

    data: Path
    weights: Path
    runs: Path
    device: str


def load(path: Path) -> Screen:
    """Read a screen.

    Raises:
        ConfigError: the file is missing, is no TOML, or says something that is not understood.
    """
    return read_settings(path, Screen)


def find(name: str) -> Screen:
    """A screen that comes with the package, by its name, or that of a file.

    Raises:
        ConfigError: there is none, or it is not understood.
    """
    beside = next(iter(recipes.shipped().values())).parent / "screens"
    known = {path.stem: path for path in sorted(beside.glob("*.toml"))}
    if name not in known and not name.endswith(".toml"):
        raise ConfigError(f"There is no screen {name!r}; there are {', '.join(known)}, and a path ends with .toml.")
    return load(known.get(name, Path(name)))


def chosen(screen: Screen, names: Sequence[str]) -> list[Lever]:
    """The levers of these names, or all.

    Raises:
        ConfigError: there is none of a name.
    """
    known = {lever.slug: lever for lever in screen.lever} | {lever.name: lever for lever in screen.lever}
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"There is no lever {unknown[0]!r}; there are {', '.join(known)}.")
    return [known[name] for name in names] if names else list(screen.lever)


def pull(
    screen: Screen,
    levers: Sequence[Lever],
    length: Length,
    bench: Bench,
    *,
    jobs: int = 1,
    echo: Callable[[str], object] = lambda _: None,
) -> None:
    """Train, calibrate and try every run of the levers that is not done yet, `jobs` at a time.

    Raises:
        ConfigError: a run failed; the others were done.
    """
    wanted = [each for lever in levers for each in trials(screen, lever, length)]
    failed = []
    for trial, failure in _each_taken(screen, wanted, bench, jobs):
        echo(f"{trial.folder}: {failure or 'done'}")
        if failure:
            failed.append(failure)
    if failed:
        raise ConfigError(f"{len(failed)} of {len(wanted)} runs failed; the first: {failed[0]}")


def _each_taken(screen: Screen, wanted: Sequence[Trial], bench: Bench, jobs: int) -> Iterator[tuple[Trial, str]]:
    """Each run as it is done, and why it failed if it did; of several at a time each has a process of its own."""
    if jobs == 1:
        yield from ((trial, _taken(screen, trial, bench)) for trial in wanted)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        running = {pool.submit(_alone, screen, trial, bench): trial for trial in wanted}
        for future in as_completed(running):
            yield running[future], future.result()


def _alone(screen: Screen, trial: Trial, bench: Bench) -> str:
    """`_taken` in a process that shares the machine with others of its kind."""
    torch.set_num_threads(1)
    keep_freed_memory()
    return _taken(screen, trial, bench)


def _taken(screen: Screen, trial: Trial, bench: Bench) -> str:
    """Why it failed, if it did; an error of ours does not pass between processes."""
    try:
        take(screen, trial, bench)
    except CxrNodeError as error:
        return error.message
    return ""


def take(screen: Screen, trial: Trial, bench: Bench) -> None:
    """Train, calibrate and try one run, as far as that is not done yet."""
    run, recipe, films = Run(bench.runs / trial.folder), recipe_of(screen, trial), read_films(bench.data)
    start = starting_file(recipe, bench.weights) if recipe.weights_sha256 else None
    fit(recipe, films, run, name=screen.recipe, start=start, epochs=trial.length.epochs, device=bench.device)
    if not run.has_calibration:
        calibrate_run(run, films, bench.device)
    if not run.tried_elsewhere:
        run.keep_elsewhere(elsewhere(run, films, adapt=trial.lever.adapt, device=bench.device))


def recipe_of(screen: Screen, trial: Trial) -> Recipe:
    """What a run trains by: the screen's recipe with what every run and this lever change."""
    _, recipe = recipes.find(screen.recipe)
    recipe = recipe.changed({"seed": recipe.seed + trial.seed} | screen.always | trial.lever.changes)
    return recipe if trial.left_out == ALL else recipe.without(trial.left_out)
