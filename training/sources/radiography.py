"""The COVID-19 Radiography Database: COVID, Normal, Lung_Opacity, Viral Pneumonia, with or without `images` below.

It gives no patients. Where a metadata sheet is there as CSV (`COVID.metadata.csv`, with FILE NAME and URL), the films
of each origin are a source of their own; all films of a source without patients stand in one split, `train`.
"""

import csv
from pathlib import Path
from urllib.parse import urlsplit

from cxr_node.errors import ConfigError
from training.data import UNKNOWN_PATIENT, Film
from training.sources.files import pictures, size_of

SOURCE = "covid_radiography_db"
LABELS = {
    "COVID": "covid19",
    "Normal": "normal",
    "NORMAL": "normal",
    "Lung_Opacity": "lung_opacity",
    "Viral Pneumonia": "viral_pneumonia",
}


def fits(place: Path) -> bool:
    """Whether a folder has this layout."""
    return (place / "COVID").is_dir() and any((place / name).is_dir() for name in LABELS if name != "COVID")


def read(place: Path) -> list[Film]:
    """Its films, all in `train`.

    Raises:
        ConfigError: there is a folder that is none of the four classes, or a sheet without its columns.
    """
    others = sorted(each.name for each in place.iterdir() if each.is_dir() and each.name not in LABELS)
    if others:
        raise ConfigError(f"{place} has a folder {others[0]!r}; the classes are {', '.join(LABELS)}.")
    films = []
    for name, label in LABELS.items():
        folder = place / name
        origins = _origins(place / f"{name}.metadata.csv")
        for path in pictures(folder / "images") or pictures(folder):
            origin = origins.get(path.stem)
            source = f"{SOURCE}:{origin}" if origin else SOURCE
            films.append(Film(path, source, UNKNOWN_PATIENT, label, "unknown", "train", native=size_of(path)))
    return films


def _origins(sheet: Path) -> dict[str, str]:
    """The site that each file came from; empty where there is no sheet."""
    if not sheet.is_file():
        return {}
    try:
        with sheet.open(encoding="utf-8-sig", newline="") as stream:
            return {row["FILE NAME"].strip(): urlsplit(row["URL"].strip()).netloc for row in csv.DictReader(stream)}
    except KeyError as error:
        raise ConfigError(f"{sheet} has no column {error}.") from error
