"""The systems of the five documents, trained one after the other within budgets, each by its recipe, and evaluated.

What is finished is not done again, what was cut off goes on. Where weights or films are not at hand a run starts from
scratch or on the films that stand in; its conditions say so. One system's failure does not stop the others.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_node.errors import ConfigError, CxrNodeError
from cxr_node.inference.build import sha256
from training import recipe as recipes
from training.about import Published
from training.data import Film
from training.evaluation import evaluate
from training.fit import fit, starting_file
from training.recipe import Recipe
from training.run import Run
from training.search import search
from training.subject import open_subject


@dataclass(frozen=True, slots=True)
class Budget:
    """How far each system is trained at most: films of each split, epochs, minutes, variants of each film."""

    limit: int | None = None
    epochs: int | None = None
    minutes: float | None = None
    variants: int | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What every system is trained with: films, the folder of public weights, that of the runs, budget and device."""

    films: Sequence[Film]
    weights: Path
    runs: Path
    budget: Budget
    device: str
    echo: Callable[[str], object]


def in_order(names: Iterable[str]) -> dict[str, Recipe]:
    """The recipes of these names, each after those that it goes on from.

    Raises:
        ConfigError: there is no such recipe, or it reproduces no document.
    """
    ordered: dict[str, Recipe] = {}

    def add(name: str) -> None:
        if name in ordered:
            return
        _, recipe = recipes.find(name)
        published_by(name, recipe)
        for before in (recipe.starts_from, recipe.cascade.first if recipe.cascade else ""):
            if before:
                add(before)
        ordered[name] = recipe

    for name in names:
        add(name)
    return ordered


def published_by(name: str, recipe: Recipe) -> Published:
    """The system of a document that a recipe reproduces.

    Raises:
        ConfigError: it reproduces none.
    """
    if recipe.published is None:
        raise ConfigError(f"The recipe {name} reproduces no document; train it by `cxr-train train {name}`.")
    return recipe.published


def reproduce(wanted: Mapping[str, Recipe], bench: Bench) -> dict[str, str]:
    """Train and evaluate what is not yet; for each system that could not be, why."""
    failed: dict[str, str] = {}
    for name, recipe in wanted.items():
        bench.echo(name)
        try:
            run = _searched(name, recipe, bench) if recipe.search else _trained(name, recipe, bench)
            _evaluated(run, bench)
        except CxrNodeError as error:
            failed[name] = error.message
            bench.echo(f"{name}: {error.message}")
    return failed


def run_of(name: str, recipe: Recipe, runs: Path) -> Run:
    """The run that a system is judged by; of a search the best variant's."""
    if not recipe.search:
        return Run(runs / name)
    try:
        ranked = json.loads((runs / name / "search.json").read_text(encoding="utf-8"))
        return Run(runs / name / ranked[0]["run"])
    except (OSError, ValueError, LookupError):
        return Run(runs / name)


def _trained(name: str, recipe: Recipe, bench: Bench) -> Run:
    run, budget = Run(bench.runs / name), bench.budget
    recipe, stand_in = at_hand(recipe, bench.films)
    planned = recipe.shortened(budget.epochs).fit.all_epochs
    if run.finished and run.epochs_done >= planned:
        return run
    before = Run(bench.runs / recipe.starts_from) if recipe.starts_from else None
    start = None
    if recipe.weights_sha256 and before is None:
        try:
            start = starting_file(recipe, bench.weights)
        except ConfigError as error:
            bench.echo(f"{name}: from scratch. {error.message}")
    fit(
        recipe, bench.films, run,
        name=name, start=start, before=before, limit=budget.limit, epochs=budget.epochs, minutes=budget.minutes,
        variants=budget.variants if recipe.frozen else None, stand_in=stand_in, device=bench.device,
    )  # fmt: skip
    return run


def _searched(name: str, recipe: Recipe, bench: Bench) -> Run:
    minutes = 60.0 if bench.budget.minutes is None else bench.budget.minutes
    found = search(
        recipe, bench.films, bench.runs / name,
        minutes=minutes, limit=bench.budget.limit, epochs=bench.budget.epochs, device=bench.device, echo=bench.echo,
    )  # fmt: skip
    return Run(bench.runs / name / found[0].run)


def at_hand(recipe: Recipe, films: Iterable[Film]) -> tuple[Recipe, str]:
    """The recipe, on the films that stand in where a source that it names is not at hand; and what stands in.

    Raises:
        ConfigError: nothing can stand in.
    """
    sources = {film.source for film in films}
    if recipe.stand_in is None or {each.split(":")[0] for each in recipe.data.sources} <= sources:
        return recipe, ""
    return recipe.stood_in(), recipe.stand_in.says


def _evaluated(run: Run, bench: Bench) -> None:
    """Evaluate the run, unless its results are of these very weights."""
    subject = open_subject(run.directory, bench.device)
    trained = [sha256(each.weights) for each in subject.runs]
    if run.evaluated and [each["trained"] for each in run.results()["subject"]["runs"]] == trained:
        return
    found = evaluate(subject, bench.films, elsewhere=False)
    run.keep_results(found)
    bench.echo(f"{subject.name}: accuracy {found['accuracy']['value']:.4f}")
