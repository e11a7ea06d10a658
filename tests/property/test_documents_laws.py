"""Laws of documents, for every header that eligibility lets through: they are valid, and say who the film is of."""

import io
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from cxr_node.demo.dx import code
from cxr_node.documents import (
    Document,
    Reference,
    build_heatmap,
    build_key_objects,
    build_pdf,
    build_presentation,
    build_report,
    build_segmentation,
)
from cxr_node.documents.received import put
from cxr_node.domain.eligibility import Rules, judge
from cxr_node.imaging.instance import read_instance
from tests.documents import computed, header, parse, report, source

LETTERS = "abzABZ éñüÑ' -山本太郎やま홍길동محمد"
GREY = np.tile(np.arange(64, dtype=np.uint8), (80, 1))
IDENTITY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyInstanceUID")


# dciodvfy takes the lengths of PS3.5 for bytes, where they are characters: so what is not ASCII is short here
def _words(longest: int) -> st.SearchStrategy[str]:
    return st.text(LETTERS, max_size=longest).map(str.strip)


NAMES = (
    st.lists(st.lists(_words(4), min_size=1, max_size=5).map("^".join), min_size=1, max_size=3)
    .map("=".join)
    .filter(lambda name: len(name.encode()) <= 64)
)
SOUND: dict[str, st.SearchStrategy[Any]] = {
    "PatientName": NAMES,
    "PatientID": _words(20),
    "PatientBirthDate": st.sampled_from([None, "", "19600229", "18991231"]),
    "PatientSex": st.sampled_from([None, "", "M", "F", "O"]),
    "AccessionNumber": st.text("ABC0123456789-", max_size=16),
    "IssuerOfPatientID": _words(20),
}
"""What is taken over as it came: where it broke the standard, so would the document, and that is right."""


def _order(study: str, length: int) -> Dataset:
    order = Dataset()
    put(order, "StudyInstanceUID", study)
    put(order, "RequestedProcedureDescription", "d" * length)
    put(order, "ReasonForTheRequestedProcedure", "r" * length)
    return order


ANYTHING = st.one_of(st.none(), st.just(""), st.text("abAB0123456789 .:^\\/=-", max_size=80))
_BREAKABLE = """
    PatientAge StudyDate StudyTime StudyID StudyDescription ReferringPhysicianName ImageType PatientOrientation
    LossyImageCompression LossyImageCompressionMethod BurnedInAnnotation ViewPosition BodyPartExamined
    SeriesDescription Laterality InstitutionName
"""
BROKEN = dict.fromkeys(_BREAKABLE.split(), ANYTHING)
ODD: dict[str, st.SearchStrategy[Any]] = {
    "ImagerPixelSpacing": st.sampled_from([None, "", ["0.1", "0.1"], ["0", "0"], ["-1", "0.1"], ["0.1"]]),
    "LossyImageCompressionRatio": st.sampled_from([None, "", "10", ["2", "5.5"], "0", "-3"]),
    "ProcedureCodeSequence": st.sampled_from(
        [None, [], [code("399208008", "SCT", "Chest")], [code("", "", "x")], [Dataset()]]
    ),
    "RequestAttributesSequence": st.sampled_from([None, [], [Dataset()], [_order("1.2.3", 20), _order("no UID", 90)]]),
}


@st.composite
def films(draw: st.DrawFn) -> Dataset:
    """A header, with private attributes in some."""
    # each attribute is broken in few films only, so that some of them are let through
    parts = {**SOUND, **{key: odd for key, odd in {**BROKEN, **ODD}.items() if draw(st.integers(0, 3)) == 0}}
    given_ = {keyword: draw(strategy) for keyword, strategy in parts.items()}
    film = draw(st.sampled_from([header, computed]))(SpecificCharacterSet="ISO_IR 192", **given_)
    if draw(st.booleans()):
        film.private_block(0x0019, "ACME 1.0", create=True).add_new(0x01, "LO", "private")
        film.add_new(0x00290010, "LO", draw(st.text(max_size=10)))
    return film


def _errors(document: Document) -> list[str]:
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        Path(file.name).write_bytes(document.content)
        done = subprocess.run(["dciodvfy", file.name], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.peers
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(films(), st.sampled_from([0.912, 0.12, None]), st.sampled_from(["en", "es"]))
def test_documents_are_valid_for_every_header_that_is_let_through(
    film: Dataset, second: float | None, language: str
) -> None:
    assume(judge(read_instance(film), Rules(minimum_side=32)) is None)
    made = report(source(film), source(header(2), second), language=language)
    first, sr = made.sources[0], build_report(made)
    tied = build_key_objects(made, [Reference(sr.sop_class_uid, sr.sop_instance_uid, sr.series_instance_uid)])
    drawn = [build_heatmap(made, first, GREY), build_pdf(made, first, GREY)]
    outlined = [each for each in (build_presentation(made, first), build_segmentation(made, first)) if each]
    assert len(outlined) == 2
    for document in (sr, *drawn, *outlined, tied):
        assert _errors(document) == []
        content = parse(document)
        for keyword in IDENTITY:
            assert str(content.get(keyword) or "") == str(film.get(keyword) or "")
        assert not [element for element in content.iterall() if element.tag.is_private]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(films())
def test_the_same_study_gives_the_same_bytes(film: Dataset) -> None:
    buffer = io.BytesIO()
    film.save_as(buffer, enforce_file_format=False)
    again = pydicom.dcmread(io.BytesIO(buffer.getvalue()), stop_before_pixels=True, force=True)
    first, second = (build_report(report(source(each))) for each in (film, again))
    assert first.content == second.content
