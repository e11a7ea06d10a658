"""What a set of films is like: counts, sizes, duplicates, disagreements, and what gives its labels away."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from cxr_node.errors import ConfigError
from training.data import SPLITS, Film, patient_key
from training.pictures import prepared_film
from training.preparation import PrepareRecipe
from training.transfer import carried_over

FOLDS = 5
SIDE = 16
OPAQUE = {"typical", "indeterminate", "atypical"}
Rows = NDArray[Any]


def report(films: Sequence[Film], yardstick: bool = True) -> str:
    """The report as text; every film is decoded once.

    Raises:
        ConfigError: a film cannot be decoded.
    """
    thumbnails = np.stack([prepared_film(film, SIDE, PrepareRecipe()).ravel() for film in films])
    parts = [_counts(films), _sizes(films), duplicates(films), _disagreements(films)]
    if yardstick:
        parts += [shortcuts(films, thumbnails), carried_over(films)]
    return "\n\n".join(parts)


def _counts(films: Sequence[Film]) -> str:
    cells = Counter((film.source, film.label, film.split) for film in films)
    rows = [f"{'source':28} {'label':24} {'train':>7} {'val':>7} {'test':>7}"]
    for source, label in sorted({(film.source, film.label) for film in films}):
        rows.append(f"{source:28} {label:24} " + " ".join(f"{cells[source, label, split]:7}" for split in SPLITS))
    patients = {patient_key(film) for film in films}
    nameless = sorted({film.source for film in films if patient_key(film) != film.patient})
    rows.append(f"{len(films)} films, {len(patients)} patients.")
    if nameless:
        rows.append(f"Without patients, so one group each: {', '.join(nameless)}.")
    return "\n".join(rows)


def _sizes(films: Sequence[Film]) -> str:
    sizes: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for film in films:
        if film.native:
            sizes[film.label].append(film.native)
    rows = ["Original sizes, where they are known: median width x height (and how many):"]
    for label, known in sorted(sizes.items()):
        width, height = np.median(np.array(known), axis=0)
        rows.append(f"  {label:24} {width:.0f} x {height:.0f} ({len(known)})")
    return "\n".join(rows) if sizes else "Original sizes are not known."


def duplicates(films: Sequence[Film]) -> str:
    """Films with the same pixels, and those of them that stand in two splits or under two labels."""
    same: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        same[_pixels(film)].append(film)
    found = [group for group in same.values() if len(group) > 1]
    across = [group for group in found if len({film.split for film in group}) > 1]
    apart = [group for group in found if len({film.label for film in group}) > 1]
    rows = [f"Films with the same pixels: {len(found)} groups; in two splits: {len(across)}; two labels: {len(apart)}."]
    rows += ["  " + " = ".join(film.path.name for film in group) for group in (across + apart)[:10]]
    return "\n".join(rows)


def _pixels(film: Film) -> str:
    """A digest of a film's pixels at a size that tells films apart, whatever its file is."""
    grey = prepared_film(film, 128, PrepareRecipe())
    return hashlib.sha256(np.rint(grey * 255).astype(np.uint8).tobytes()).hexdigest()


def _disagreements(films: Sequence[Film]) -> str:
    """Films whose own label and their study's contradict each other."""
    said = [film for film in films if film.second_label]
    if not said:
        return "No film has a second label to compare."
    hidden = [film for film in said if film.label in OPAQUE and film.second_label == "none"]
    seen = [film for film in said if film.label not in OPAQUE and film.second_label == "opacity"]
    rows = [
        f"Label disagreements: {len(hidden) + len(seen)} of {len(said)} films; the study has an opacity and the film "
        f"none: {len(hidden)}; the film has one and the study none: {len(seen)}."
    ]
    rows += [f"  {film.path.name}: study {film.label}, film {film.second_label}" for film in (hidden + seen)[:10]]
    return "\n".join(rows)


def shortcuts(films: Sequence[Film], thumbnails: Rows) -> str:
    """How well labels are told without looking at lungs: balanced accuracy, cross-validated over patients.

    A source without patients counts film by film here. Labels with fewer films than folds are left out.
    """
    counts = Counter(film.label for film in films)
    kept = [index for index, film in enumerate(films) if counts[film.label] >= FOLDS]
    labels = np.array([films[index].label for index in kept])
    if len(set(labels)) < 2:
        return "Shortcuts: fewer than two labels have enough films."
    chosen = [films[index] for index in kept]
    groups = [film.patient if patient_key(film) == film.patient else str(film.path) for film in chosen]
    sources = np.array([[film.source] for film in chosen])
    sizes = np.array([film.native or (0, 0) for film in chosen], float)
    looks: dict[str, Callable[[], float]] = {
        "nothing": lambda: _score(DummyClassifier(), thumbnails[kept], labels, groups),
        "the size": lambda: _score(_regression(StandardScaler()), np.log1p(sizes), labels, groups),
        "the source": lambda: _score(_regression(OneHotEncoder(handle_unknown="ignore")), sources, labels, groups),
        f"{SIDE} x {SIDE} pixels": lambda: _score(_regression(StandardScaler()), thumbnails[kept], labels, groups),
    }
    rows = [f"Shortcuts: balanced accuracy over {len(set(labels))} labels of a model that sees only"]
    rows += [f"  {name:16} {look():.3f}" for name, look in looks.items()]
    return "\n".join(rows)


def _regression(first: object) -> object:
    return make_pipeline(first, LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000))


def _score(model: object, rows: Rows, labels: NDArray[np.str_], groups: Sequence[str]) -> float:
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    try:
        found = cross_val_predict(model, rows, labels, groups=groups, cv=folds)
    except ValueError as error:
        raise ConfigError(f"The shortcuts cannot be measured on these films: {error}") from error
    return float(balanced_accuracy_score(labels, found))
