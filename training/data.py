"""The labelled films and their splits, which are refused where a patient stands in two of them."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_node.errors import ConfigError

SPLITS = ("train", "val", "test")
UNKNOWN_PATIENT = "unknown"
PNEUMONIA = frozenset({"bacterial_pneumonia", "viral_pneumonia", "pneumonia_unspecified"})
BACTERIAL = {"bacterial_pneumonia": 1.0, "viral_pneumonia": 0.0}


@dataclass(frozen=True, slots=True)
class Film:
    """One row of a manifest: where the picture is, whose it is, what it shows."""

    path: Path
    source: str
    patient: str
    label: str
    view: str
    split: str

    @property
    def pneumonia(self) -> float:
        """1 for pneumonia of any kind, 0 for normal, NaN where the label is neither."""
        if self.label in PNEUMONIA:
            return 1.0
        return 0.0 if self.label == "normal" else math.nan

    @property
    def bacterial(self) -> float:
        """1 for bacterial, 0 for viral pneumonia, NaN where that is not known or not the question."""
        return BACTERIAL.get(self.label, math.nan)


def read_manifest(directory: Path) -> list[Film]:
    """The films of `directory`/manifest.csv (columns path, source, patient_id, label, view, split).

    Raises:
        ConfigError: the manifest is missing or malformed, or its splits leak.
    """
    manifest = directory / "manifest.csv"
    try:
        with manifest.open(encoding="utf-8", newline="") as stream:
            films = [_film(directory, row) for row in csv.DictReader(stream)]
    except OSError as error:
        raise ConfigError(f"{manifest} cannot be read: {error.strerror}.") from error
    except KeyError as error:
        raise ConfigError(f"{manifest} has no column {error}.") from error
    check_splits(films)
    return films


def _film(directory: Path, row: dict[str, str]) -> Film:
    return Film(
        directory / row["path"],
        row["source"],
        row["patient_id"],
        row["label"],
        row.get("view", "unknown"),
        row["split"],
    )


def check_splits(films: Iterable[Film]) -> None:
    """Refuse unknown splits, and patients in more than one; films without a patient id count as one patient a source.

    Raises:
        ConfigError: with the first offenders.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    for film in films:
        if film.split not in SPLITS:
            raise ConfigError(f"{film.path.name} is in the split {film.split!r}; there are {', '.join(SPLITS)}.")
        splits[patient_key(film)].add(film.split)
    leaking = sorted(patient for patient, found in splits.items() if len(found) > 1)
    if leaking:
        raise ConfigError(f"{len(leaking)} patients are in more than one split: {', '.join(leaking[:3])}.")


def patient_key(film: Film) -> str:
    """What counts as one patient: the id, or the whole source where it gives none."""
    return f"{film.source}:{UNKNOWN_PATIENT}" if film.patient == UNKNOWN_PATIENT else film.patient


def trainable(films: Iterable[Film], sources: Iterable[str], split: str) -> list[Film]:
    """The films of a split and of these sources that are normal or pneumonia."""
    wanted = set(sources)
    return [film for film in films if film.source in wanted and film.split == split and not math.isnan(film.pneumonia)]


def weights(films: Sequence[Film], shares: dict[str, float]) -> list[float]:
    """How often to draw each film, so that sources have their shares and labels are even within a source.

    Raises:
        ConfigError: a source with a share has no film of one of the two labels.
    """
    counts: dict[tuple[str, float], int] = defaultdict(int)
    for film in films:
        counts[film.source, film.pneumonia] += 1
    for source in shares:
        if not counts[source, 0.0] or not counts[source, 1.0]:
            raise ConfigError(f"The source {source!r} has no normal or no pneumonia film to train with.")
    return [shares.get(film.source, 0.0) / 2 / counts[film.source, film.pneumonia] for film in films]
