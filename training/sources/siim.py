"""SIIM-FISABIO-RSNA COVID-19 Detection: train_study_level.csv, train_image_level.csv and DICOM below train/.

A study is negative, typical, indeterminate or atypical; an image is `none` or has boxes of opacities. The two disagree
on hundreds of images (the image shows nothing and its study does): `second_label` keeps what the image says. Patients
are the DICOM files'; they are dealt out over train, val and test (64:16:20) once and for all, so that every recipe has
the same test films.
"""

import ast
import csv
from collections.abc import Mapping
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from cxr_node.errors import ConfigError
from training.data import Box, Film
from training.splits import deal

SOURCE = "siim"
STUDIES, IMAGES = "train_study_level.csv", "train_image_level.csv"
LABELS = {
    "Negative for Pneumonia": "negative",
    "Typical Appearance": "typical",
    "Indeterminate Appearance": "indeterminate",
    "Atypical Appearance": "atypical",
}
PARTS = {"train": 0.64, "val": 0.16, "test": 0.2}
SEED = 4


def fits(place: Path) -> bool:
    """Whether a folder has this layout."""
    return (place / STUDIES).is_file()


def read(place: Path) -> list[Film]:
    """Its films.

    Raises:
        ConfigError: a table lacks a column, a study has no label or several, a file is missing or no DICOM.
    """
    labels = {row["id"].removesuffix("_study"): _label(row) for row in _rows(place / STUDIES, ("id", *LABELS))}
    files = {path.stem: path for path in sorted((place / "train").rglob("*.dcm"))}
    films = []
    for row in _rows(place / IMAGES, ("id", "boxes", "label", "StudyInstanceUID")):
        image, study = row["id"].removesuffix("_image"), row["StudyInstanceUID"]
        if study not in labels:
            raise ConfigError(f"{place / IMAGES}: {row['id']} belongs to a study that {STUDIES} does not have.")
        if image not in files:
            raise ConfigError(f"{place / 'train'} has no file {image}.dcm, which {IMAGES} names.")
        films.append(_film(files[image], labels[study], row, study))
    return deal(films, PARTS, SEED)


def _film(path: Path, label: str, row: Mapping[str, str], study: str) -> Film:
    try:
        header = pydicom.dcmread(
            path, stop_before_pixels=True, specific_tags=["PatientID", "ViewPosition", "Rows", "Columns"]
        )
    except (OSError, InvalidDicomError) as error:
        raise ConfigError(f"The film {path} cannot be used: it is not a DICOM file that can be read.") from error
    patient, view = str(header.get("PatientID") or study), str(header.get("ViewPosition") or "unknown")
    native = (int(header.get("Columns") or 0), int(header.get("Rows") or 0))
    said = "none" if row["label"].startswith("none") else "opacity"
    return Film(
        path, SOURCE, f"{SOURCE}:{patient}", label, view, "train",
        native=native if all(native) else None, second_label=said, boxes=_boxes(row["boxes"]),
    )  # fmt: skip


def _label(row: Mapping[str, str]) -> str:
    found = [label for column, label in LABELS.items() if row[column].strip() == "1"]
    if len(found) != 1:
        raise ConfigError(f"{STUDIES}: {row['id']} has {len(found)} labels, not one.")
    return found[0]


def _boxes(text: str) -> tuple[Box, ...]:
    """The boxes that the table writes as a Python list of mappings."""
    try:
        return tuple((box["x"], box["y"], box["width"], box["height"]) for box in ast.literal_eval(text or "[]"))
    except (ValueError, SyntaxError, KeyError, TypeError) as error:
        raise ConfigError(f"{IMAGES}: the boxes {text[:60]!r} are not understood.") from error


def _rows(table: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise ConfigError(f"{table} cannot be read: {error.strerror}.") from error
    missing = [column for column in columns if not rows or rows[0].get(column) is None]
    if missing:
        raise ConfigError(f"{table} has no column {missing[0]!r}, or no row.")
    return rows
