"""Chest X-Ray Images (Pneumonia) of Kermany et al. as it is spread: train|test|val/NORMAL|PNEUMONIA.

What kind of pneumonia, and which patient, stands in the file name: `person12_bacteria_34.jpeg`, `IM-0001-0001.jpeg`,
`NORMAL2-IM-0012-0001-0002.jpeg`. Persons are counted for each kind by itself.
"""

import re
from pathlib import Path

from cxr_node.errors import ConfigError
from training.data import SPLITS, UNKNOWN_PATIENT, Film
from training.sources.files import pictures, size_of

SOURCE = "kermany"
KINDS = {"bacteria": "bacterial_pneumonia", "virus": "viral_pneumonia"}
_PERSON = re.compile(r"person(\d+)_(bacteria|virus)_")
_NORMAL = re.compile(r"((?:NORMAL2-)?IM-\d+)-")


def fits(place: Path) -> bool:
    """Whether a folder has this layout."""
    return any((place / split / label).is_dir() for split in SPLITS for label in ("NORMAL", "PNEUMONIA"))


def read(place: Path) -> list[Film]:
    """Its films; a name that gives no patient counts as unknown.

    Raises:
        ConfigError: a split has other folders than the two.
    """
    films = []
    for split in SPLITS:
        folder = place / split
        if not folder.is_dir():
            continue
        others = sorted(
            each.name for each in folder.iterdir() if each.is_dir() and each.name not in ("NORMAL", "PNEUMONIA")
        )
        if others:
            raise ConfigError(f"{folder} has a folder {others[0]!r}; the labels are NORMAL and PNEUMONIA.")
        films += [_film(path, "normal", split) for path in pictures(folder / "NORMAL")]
        films += [_film(path, _kind(path), split) for path in pictures(folder / "PNEUMONIA")]
    return films


def _kind(path: Path) -> str:
    person = _PERSON.match(path.name)
    return KINDS[person[2]] if person else "pneumonia_unspecified"


def _film(path: Path, label: str, split: str) -> Film:
    return Film(path, SOURCE, patient_of(path.name), label, "AP", split, native=size_of(path))


def patient_of(name: str) -> str:
    """The patient that a file name of this source gives, `unknown` where it gives none."""
    if person := _PERSON.match(name):
        return f"{SOURCE}:person{person[1]}_{person[2]}"
    if normal := _NORMAL.match(name):
        return f"{SOURCE}:{normal[1]}"
    return UNKNOWN_PATIENT
