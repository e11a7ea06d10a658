"""Which films a recipe uses, and in which split: never one patient in two of them."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cxr_node.errors import ConfigError
from training.data import Film, check_splits, patient_key
from training.recipe import Recipe


def films_of(recipe: Recipe, films: Sequence[Film], limit: int | None = None) -> list[Film]:
    """The recipe's films, split as it wants; at most `limit` of each split, evenly over the labels.

    Raises:
        ConfigError: there is nothing to train or to validate with, or the validation films show one class only.
    """
    chosen = [film for film in films if recipe.data.takes(film.source, film.label) and film.label in recipe.labels]
    if recipe.data.merge:
        merged = [film for film in chosen if film.split in recipe.data.merge]
        kept = [film for film in chosen if film.split not in recipe.data.merge]
        _refuse_overlap(merged, kept)
        chosen = deal(merged, recipe.data.parts, recipe.seed) + kept
    if recipe.data.per_class:
        chosen = _capped(chosen, recipe, recipe.data.per_class)
    for source, most in recipe.data.few.items():
        chosen = _few(chosen, source, most, recipe.seed)
    if limit:
        chosen = [film for split in ("train", "val", "test") for film in _even(_of(chosen, split), limit)]
    check_splits(chosen)
    _check_classes(recipe, chosen)
    return chosen


def deal(films: Sequence[Film], parts: Mapping[str, float], seed: int) -> list[Film]:
    """The films with new splits, whole patients dealt out at random so that each label comes near its `parts`.

    A source without patient ids is one patient: all of it goes to one split.
    """
    patients: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        patients[patient_key(film)].append(film)
    totals = Counter(film.label for film in films)
    wanting = {split: {label: part * totals[label] for label in totals} for split, part in parts.items()}
    order = sorted(patients)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda patient: -len(patients[patient]))  # the large ones first, while there is room
    dealt = []
    for patient in order:
        labels = Counter(film.label for film in patients[patient])
        need = {
            split: sum(count * lacking[label] for label, count in labels.items()) for split, lacking in wanting.items()
        }
        split = max(need, key=lambda each: need[each])
        for label, count in labels.items():
            wanting[split][label] -= count
        dealt += [replace(film, split=split) for film in patients[patient]]
    return dealt


def _refuse_overlap(merged: Sequence[Film], kept: Sequence[Film]) -> None:
    both = {patient_key(film) for film in merged} & {patient_key(film) for film in kept}
    if both:
        raise ConfigError(f"{len(both)} patients are in a split to be dealt anew and in another: {min(both)}.")


def _of(films: Sequence[Film], split: str) -> list[Film]:
    return [film for film in films if film.split == split]


def _capped(films: Sequence[Film], recipe: Recipe, most: int) -> list[Film]:
    """At most so many training films of each class, taken at random."""
    place = {label: name for name, labels in recipe.classes.items() for label in labels}
    train = _of(films, "train")
    random.Random(recipe.seed).shuffle(train)
    seen: Counter[str] = Counter()
    kept = set()
    for film in train:
        seen[place[film.label]] += 1
        if seen[place[film.label]] <= most:
            kept.add(film.path)
    return [film for film in films if film.split != "train" or film.path in kept]


def _few(films: Sequence[Film], source: str, most: int, seed: int) -> list[Film]:
    """At most so many training films of a source, taken at random, evenly over its labels; more contain fewer."""
    train = [film for film in _of(films, "train") if film.source == source]
    random.Random(seed).shuffle(train)
    kept = {film.path for film in _even(train, most)}
    return [film for film in films if film.split != "train" or film.source != source or film.path in kept]


def _even(films: Sequence[Film], most: int) -> list[Film]:
    """The first films of each label in turn, at most so many."""
    turns: dict[str, int] = defaultdict(int)
    ranked = []
    for film in films:
        ranked.append((turns[film.label], film))
        turns[film.label] += 1
    chosen = {id(film) for _, film in sorted(ranked, key=lambda each: each[0])[:most]}
    return [film for film in films if id(film) in chosen]


def _check_classes(recipe: Recipe, films: Sequence[Film]) -> None:
    classes = recipe.classes or {"normal": ("normal",), "pneumonia": tuple(recipe.labels - {"normal"})}
    place = {label: name for name, labels in classes.items() for label in labels}
    for split in ("train", "val"):
        found = Counter(place[film.label] for film in _of(films, split))
        if not found:
            raise ConfigError(f"There is no film of the recipe's sources and labels in the split {split!r}.")
        empty = [name for name in classes if not found[name]]
        if split == "train" and empty:
            raise ConfigError(f"The class {empty[0]!r} has no training film; its labels are {list(classes[empty[0]])}.")
        if len(found) < 2:
            raise ConfigError(
                f"Every validation film is of the class {min(found)!r}: nothing can be chosen or calibrated by them. "
                "Deal the films out anew (merge and parts in the recipe's [data]) or add films of another class."
            )
