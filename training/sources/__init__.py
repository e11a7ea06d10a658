"""Labelled films from the layouts that people have; each adaptor is a module, and this one finds which it is."""

from collections.abc import Callable
from pathlib import Path

from cxr_node.errors import ConfigError
from training.data import Film, check_splits, read_manifest
from training.sources import folders, radiography, siim

LAYOUTS = "a manifest.csv; train|test|val/NORMAL|PNEUMONIA; COVID|Normal|...; train_study_level.csv"

ADAPTORS: tuple[tuple[Callable[[Path], bool], Callable[[Path], list[Film]]], ...] = (
    (siim.fits, siim.read),
    (folders.fits, folders.read),
    (radiography.fits, radiography.read),
)
"""Whether a folder has a layout, and how it is read."""


def read_films(place: Path) -> list[Film]:
    """The films of a manifest CSV or of a folder in one of the known layouts.

    Raises:
        ConfigError: the layout is not known, something in it is not understood, or a patient is in two splits.
    """
    films = read_unsplit(place)
    check_splits(films)
    return films


def read_unsplit(place: Path) -> list[Film]:
    """The same, without a look at whether a patient is in two splits: for dealing them out anew.

    Raises:
        ConfigError: the layout is not known, or something in it is not understood.
    """
    if place.is_file() or (place / "manifest.csv").is_file():
        return read_manifest(place, splits=False)
    for fits, read in ADAPTORS:
        if fits(place):
            films = read(place)
            if not films:
                raise ConfigError(f"{place} has the folders of a known layout, and no film in them.")
            return films
    raise ConfigError(f"{place} has none of the known layouts: {LAYOUTS}.")
