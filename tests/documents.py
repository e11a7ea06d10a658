"""What documents are made from, for the tests: one film, one analysis, one report, each open to change."""

import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset

from cxr_node.conformance.sample import every_kind
from cxr_node.documents import Document, Form, Profile, Source, StudyReport, build_report
from cxr_node.domain.finding import Analysis, Cutoffs, ModelIdentity, Terms, Tier
from cxr_node.domain.report_class import REPORT_CLASSES
from tests.films import chest

MODEL = ModelIdentity("cxr-pneumonia", "1.2.0", "5e" * 32)
WHEN = datetime(2026, 3, 1, 8, 20, tzinfo=UTC)
PROFILE = Profile(
    mode="full",
    language="en",
    cutoffs=Cutoffs(threshold=0.5, medium=0.6, high=0.85),
    prevalence=None,
    triage_category={Tier.HIGH: 2, Tier.MEDIUM: 3},
    timezone="Europe/Madrid",
    uid_root="2.25",
    institution="Hospital Ñuñoa",
    station="AI-1",
    node_version="0.1.0",
)
ROWS, COLUMNS = 80, 64


def header(number: int = 1, **attributes: Any) -> Dataset:
    """The header of film `number` of one study, as it is read from a file: nothing decoded yet, valid or not."""
    given = {"StudyInstanceUID": "2.25.20260301"} | attributes
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom on values that tests break on purpose
        film = chest(number, pixels=np.zeros((ROWS, COLUMNS), np.uint16), **given)
        film.save_as(buffer, enforce_file_format=True)
    return reread(buffer.getvalue())


def computed(number: int = 1, **attributes: Any) -> Dataset:
    """The header of a film of Computed Radiography."""
    given = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1", "Modality": "CR"}
    return header(number, **(given | attributes))


def reread(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)


def activation() -> tuple[tuple[float, ...], ...]:
    """A map that is strongest low in the right half of the picture."""
    grid = np.zeros((7, 7))
    grid[4, 4:6], grid[3, 4], grid[5, 5] = (1, 0.8), 0.6, 0.4
    return tuple(tuple(row) for row in grid.tolist())


def analysis(probability: float, **changes: Any) -> Analysis:
    kinds = {"bacterial_pneumonia": 0.7 * probability, "viral_pneumonia": 0.3 * probability}
    classes, terms = {"normal": 1 - probability, **kinds}, Terms(kinds=tuple(kinds))
    given = Analysis(MODEL, "pneumonia", probability, classes, activation(), "cam", terms)
    return replace(given, **changes)


def source(of: Dataset | None = None, probability: float | None = 0.912, **changes: Any) -> Source:
    """An image with its analysis, or with a failed one where the probability is None."""
    given = Source(
        header=header() if of is None else of,
        digest="0d" * 32,
        received_at=WHEN,
        analysis=None if probability is None else analysis(probability),
    )
    return replace(given, **changes)


def report(*sources: Source, **changes: Any) -> StudyReport:
    """A report on `sources` (one positive film by default); `changes` are of the profile or of the report."""
    ours = {name: changes.pop(name) for name in ("revision", "predecessor", "analysed_at") if name in changes}
    given = StudyReport(sources or (source(),), replace(PROFILE, **changes), revision=1, analysed_at=WHEN)
    return replace(given, **ours)


def every_document(film: Dataset, **changes: Any) -> list[Document]:
    """Every kind of document of a positive film, the report in each class; `changes` as for `report`."""
    buffer = io.BytesIO()
    film.save_as(buffer, enforce_file_format=True)
    made = report(source(reread(buffer.getvalue())), **changes)
    grey = np.tile(np.arange(200, dtype=np.uint8), (250, 1))
    return every_kind(made, [build_report(made, Form(sr_class)) for sr_class in REPORT_CLASSES], grey)


def parse(document: Document) -> Dataset:
    return pydicom.dcmread(io.BytesIO(document.content))


def items(dataset: Dataset, code: str) -> list[Dataset]:
    """The content items, at any depth, whose concept name has this code value."""
    return [item for item in walk(dataset) if _name(item) == code]


def walk(dataset: Dataset) -> Iterator[Dataset]:
    for item in dataset.get("ContentSequence", []):
        yield item
        yield from walk(item)


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""


def value(item: Dataset) -> str:
    """The code, text or number of a content item."""
    if item.ValueType == "CODE":
        return str(item.ConceptCodeSequence[0].CodeValue)
    if item.ValueType == "NUM":
        return f"{float(item.MeasuredValueSequence[0].NumericValue):g}"
    return str(item.TextValue)


def values(dataset: Dataset, code: str) -> list[str]:
    return [value(item) for item in items(dataset, code)]
