"""A search over variants of a recipe, within a budget, ranked on validation films; the test films are not looked at."""

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxr_node.errors import ConfigError
from training.data import Film
from training.fit import fit
from training.recipe import Recipe, SearchRecipe
from training.run import Run, network_of


@dataclass(frozen=True, slots=True)
class Tried:
    """One variant: what was changed, its run's folder, and its best accuracy on validation films."""

    changes: dict[str, Any]
    run: str
    accuracy: float


def variants(search: SearchRecipe, seed: int) -> Iterator[dict[str, Any]]:
    """Different combinations of the choices in an order that the seed decides, as many as the recipe wants."""
    combinations = list(itertools.product(*search.choices.values()))
    random.Random(seed).shuffle(combinations)
    for values in combinations[: search.variants]:
        yield dict(zip(search.choices, values, strict=True))


def search(
    recipe: Recipe,
    films: Sequence[Film],
    directory: Path,
    *,
    minutes: float,
    limit: int | None = None,
    epochs: int | None = None,
    device: str = "cpu",
    echo: Callable[[str], object] = lambda _: None,
) -> list[Tried]:
    """Train variants until the recipe's number or the budget is spent; the best first, kept in search.json.

    A variant that was finished before is not trained again, and one that was cut off goes on. A variant that cannot be
    built (too many poolings for the size) is left out, and said.

    Raises:
        ConfigError: the recipe has no search, or the films do not fit it.
    """
    if recipe.search is None:
        raise ConfigError("The recipe has no [search]: no choices to try.")
    ends = time.monotonic() + 60 * minutes
    tried: list[Tried] = []
    for number, changes in enumerate(variants(recipe.search, recipe.seed)):
        if time.monotonic() >= ends and tried:
            break
        variant = recipe.changed(changes)
        try:
            network_of(variant)
        except ConfigError as error:
            echo(f"{changes}: left out: {error.message}")
            continue
        run = Run(directory / f"variant-{number:03}")
        if not run.finished:
            fit(variant, films, run, name=run.directory.name, limit=limit, epochs=epochs, device=device)
        entries = [json.loads(line) for line in run.log.read_text(encoding="utf-8").splitlines()]
        best = max(entry["validation accuracy"] for entry in entries)
        tried.append(Tried(changes, run.directory.name, best))
        ranked = sorted(tried, key=lambda each: -each.accuracy)
        (directory / "search.json").write_text(json.dumps([asdict(each) for each in ranked], indent=2) + "\n", "utf-8")
    if not tried:
        raise ConfigError("None of the variants could be trained.")
    return sorted(tried, key=lambda each: -each.accuracy)
