"""A subject on the test films: what it was judged on, its figures, and the same on hospitals it never saw."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cxr_node.errors import ConfigError
from cxr_node.inference.build import sha256
from training.assess import FEWEST, Chosen, assess, brief, plain, validation_of
from training.data import Film, patient_key, read_manifest
from training.reading import Reading
from training.splits import films_of
from training.subject import Subject

LATERAL = "LATERAL"


def evaluate(
    subject: Subject,
    films: Sequence[Film],
    *,
    split: str = "test",
    prevalence: float | None = None,
    elsewhere: bool = True,
) -> dict[str, Any]:
    """Everything that results.json has, from the films of a split; calibration and thresholds are chosen on `val`.

    With `elsewhere` also what it says, by source, of frontal films of sources that gave no training film.

    Raises:
        ConfigError: there is no film to read, or patients that were trained on are among them.
    """
    return of_readings(
        subject, films, read(subject, films, split), split=split, prevalence=prevalence, elsewhere=elsewhere
    )


def read(subject: Subject, films: Sequence[Film], split: str) -> list[Reading]:
    """The subject's answers about the films of a split that it is judged on.

    Raises:
        ConfigError: there is none, or patients that were trained on are among them.
    """
    return subject.read(judged(subject, films, split))


def of_readings(
    subject: Subject,
    films: Sequence[Film],
    readings: Sequence[Reading],
    *,
    split: str,
    prevalence: float | None,
    elsewhere: bool,
) -> dict[str, Any]:
    """What `evaluate` finds, from answers that are there already."""
    chosen = _chosen(subject, films)
    questions = {}
    for reading in readings:
        settled = chosen[reading.question.name]
        figures = assess(reading, settled if isinstance(settled, Chosen) else None, prevalence)
        figures["validation"] = settled if isinstance(settled, str) else "calibrated, thresholds chosen"
        questions[reading.question.name] = figures
    first = questions[readings[0].question.name]
    found = {
        "subject": _described(subject),
        "data": _data(readings[0].films, split),
        "accuracy": first["accuracy"],
        "note": first["majority"]["note"],
        "questions": questions,
        "elsewhere": _elsewhere(subject, films, split, chosen) if elsewhere else {},
    }
    content: dict[str, Any] = plain(found)
    return content


def judged(subject: Subject, films: Sequence[Film], split: str) -> list[Film]:
    """The films of a split from the sources of the subject's recipe, dealt out as it deals them; else all of the split.

    Raises:
        ConfigError: there is none, or patients that were trained on are among them.
    """
    recipe = subject.recipe
    own = [film for film in films if recipe.data.takes(film.source, film.label)]
    if own and recipe.data.merge:
        own = films_of(recipe, films)
    found = [film for film in own or films if film.split == split]
    if not found:
        raise ConfigError(f"There is no film in the split {split!r} to evaluate {subject.name} on.")
    _refuse_trained(subject, found, split)
    return found


def _refuse_trained(subject: Subject, films: Sequence[Film], split: str) -> None:
    patients = {patient_key(film) for film in films}
    for run in subject.runs:
        used = read_manifest(run.splits) if run.splits.is_file() else []
        seen = patients & {patient_key(film) for film in used if film.split != split}
        if seen:
            raise ConfigError(
                f"{len(seen)} patients of these films were in another split when {run.directory} was trained: "
                f"{min(seen)}. Evaluate it with the manifest that it was trained with."
            )


def _chosen(subject: Subject, films: Sequence[Film]) -> dict[str, Chosen | str]:
    try:
        validation = judged(subject, films, "val")
        return validation_of(subject.read(validation), subject.points)
    except ConfigError as error:
        return {question.name: error.message for question in subject.questions}


def _described(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "network": subject.recipe.network,
        "published": subject.recipe.published.model_dump() if subject.recipe.published else None,
        "runs": [
            {"folder": run.directory.name, "trained": sha256(run.weights), **asdict(run.conditions())}
            for run in subject.runs
        ],
    }


def _data(films: Sequence[Film], split: str) -> dict[str, Any]:
    rows = sorted(f"{film.source}/{film.path.name} {film.patient} {film.label}" for film in films)
    return {
        "split": split,
        "films": len(films),
        "by_source_and_label": dict(sorted(Counter(f"{film.source}, {film.label}" for film in films).items())),
        "sha256": hashlib.sha256("\n".join(rows).encode()).hexdigest(),
    }


def _elsewhere(
    subject: Subject, films: Sequence[Film], split: str, chosen: Mapping[str, Chosen | str]
) -> dict[str, Any]:
    """By source, what it says of films from where it has learned nothing."""

    def short(reading: Reading) -> dict[str, Any]:
        settled = chosen[reading.question.name]
        return brief(reading, settled if isinstance(settled, Chosen) else None)

    recipe = subject.recipe
    known = {film.source for film in films if recipe.data.takes(film.source, film.label)}
    others: dict[str, list[Film]] = {}
    for film in films:
        concerned = any(question.target(film) is not None for question in subject.questions)
        if known and film.source not in known and film.split == split and film.view != LATERAL and concerned:
            others.setdefault(film.source, []).append(film)
    return {
        source: {
            reading.question.name: short(reading) for reading in subject.read(members) if len(reading.films) >= FEWEST
        }
        for source, members in sorted(others.items())
        if len(members) >= FEWEST
    }
