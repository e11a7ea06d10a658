"""The labelled films and their splits, which are refused where a patient stands in two of them."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_node.errors import ConfigError

SPLITS = ("train", "val", "test")
UNKNOWN_PATIENT = "unknown"
PNEUMONIA = frozenset({"bacterial_pneumonia", "viral_pneumonia", "pneumonia_unspecified"})
BACTERIAL = {"bacterial_pneumonia": 1.0, "viral_pneumonia": 0.0}
LABELS = PNEUMONIA | {
    "unknown", "normal", "covid19", "tuberculosis", "other", "lung_opacity", "negative", "typical", "indeterminate",
    "atypical",
}  # fmt: skip
"""Every label that a film may have: `unknown` until somebody has labelled it; the last four are SIIM's of a study."""
COLUMNS = (
    "path", "source", "patient_id", "label", "view", "split", "native_width", "native_height", "second_label", "boxes",
    "age_group",
)  # fmt: skip
"""What a manifest of ours has; the last five may be missing or empty."""


Box = tuple[float, float, float, float]
"""Left, top, width, height in pixels of the original."""


@dataclass(frozen=True, slots=True)
class Film:
    """One row of a manifest: where the picture is, whose it is, what it shows."""

    path: Path
    source: str
    patient: str
    label: str
    view: str
    split: str
    native: tuple[int, int] | None = None
    """Width and height of the original, where they are known and the file's may be others."""
    second_label: str = ""
    """What another label of the same source says of the film (SIIM: its image-level label); empty: nothing."""
    boxes: tuple[Box, ...] = ()
    age: str = "unknown"
    """The age group, as the source gives it: `adult`, `paediatric`."""

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


def read_manifest(manifest: Path, *, splits: bool = True) -> list[Film]:
    """The films of a manifest, or of the manifest.csv of a folder; paths in it are relative to its folder.

    It needs the columns path, source, patient_id, label and split. Without `splits` a patient in two of them is let by.

    Raises:
        ConfigError: the manifest is missing or malformed, has a label that is not known, or its splits leak.
    """
    manifest = manifest / "manifest.csv" if manifest.is_dir() else manifest
    try:
        with manifest.open(encoding="utf-8", newline="") as stream:
            films = [_film(manifest.parent, row) for row in csv.DictReader(stream)]
    except OSError as error:
        raise ConfigError(f"{manifest} cannot be read: {error.strerror}.") from error
    except KeyError as error:
        raise ConfigError(f"{manifest} has no column {error}.") from error
    except (ValueError, csv.Error) as error:
        raise ConfigError(f"{manifest} is not understood: {error}.") from error
    check_labels(films)
    if splits:
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
        _native(row),
        row.get("second_label") or "",
        _boxes(row.get("boxes") or ""),
        row.get("age_group") or "unknown",
    )


def _native(row: dict[str, str]) -> tuple[int, int] | None:
    """The original's size; that of the file, where the row does not say that it was squashed."""
    kept = ("width", "height") if row.get("geometry") == "aspect_kept" else ()
    for columns in (("native_width", "native_height"), kept):
        sides = [row.get(column) or "" for column in columns]
        if all(sides) and sides:
            return int(sides[0]), int(sides[1])
    return None


def _boxes(text: str) -> tuple[Box, ...]:
    boxes = []
    for each in filter(None, text.split(";")):
        left, top, width, height = map(float, each.split())
        boxes.append((left, top, width, height))
    return tuple(boxes)


def write_manifest(films: Iterable[Film], manifest: Path) -> None:
    """Write films as `read_manifest` reads them; paths that lie beside the manifest are written relative to it."""
    with manifest.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for film in films:
            beside = film.path.is_relative_to(manifest.parent)
            path = film.path.relative_to(manifest.parent) if beside else film.path.resolve()
            native = film.native or ("", "")
            boxes = ";".join(" ".join(f"{each:g}" for each in box) for box in film.boxes)
            row = (path, film.source, film.patient, film.label, film.view, film.split)
            writer.writerow((*row, *native, film.second_label, boxes, film.age))


def check_labels(films: Iterable[Film]) -> None:
    """Refuse labels that nobody defined.

    Raises:
        ConfigError: with the first offender.
    """
    for film in films:
        if film.label not in LABELS:
            raise ConfigError(f"{film.path.name} has the label {film.label!r}; there are {', '.join(sorted(LABELS))}.")


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


def weights(films: Sequence[Film], targets: Sequence[int | None], shares: Mapping[str, float]) -> list[float]:
    """How often to draw each film, so that sources have their shares and classes are even within a source.

    Raises:
        ConfigError: a source with a share has films of fewer than two classes.
    """
    counts: dict[tuple[str, int | None], int] = defaultdict(int)
    for film, target in zip(films, targets, strict=True):
        counts[film.source, target] += 1
    classes = {source: sum(cell[0] == source for cell in counts) for source in shares}
    for source, count in classes.items():
        if count < 2:
            raise ConfigError(f"The source {source!r} has {count} of the classes; it needs two or more to train with.")
    return [
        shares[film.source] / classes[film.source] / counts[film.source, target]
        for film, target in zip(films, targets, strict=True)
    ]
