"""Every sentence and every code of the documents has both languages, and numbers read as they should."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from pydicom.sr.coding import Code

import cxr_node
from cxr_node.documents import codes
from cxr_node.documents.language import named, sentence
from cxr_node.documents.sentences import SENTENCES
from cxr_node.documents.wording import percent
from cxr_node.domain.finding import tenths
from cxr_node.locale.terms import FINDINGS

SOURCE = Path(cxr_node.__file__).parent


def _codes() -> list[Code]:
    found = []
    for thing in vars(codes).values():
        many = thing.values() if isinstance(thing, dict) else [thing] if isinstance(thing, Code) else thing
        found += [each for each in many if isinstance(each, Code)] if isinstance(many, Iterable) else []
    return found


def test_every_sentence_that_the_source_asks_for_is_there() -> None:
    asked: set[str] = set()
    for path in [*(SOURCE / "documents").glob("*.py"), SOURCE / "panel.py", SOURCE / "gallery.py"]:
        asked |= set(re.findall(r'(?:sentence|say)\(\s*"([a-z_.]+)"', path.read_text("utf-8")))
    assert len(asked) > 15
    assert {key for key in asked if not any(name.startswith(key) for name in SENTENCES)} == set()


@pytest.mark.parametrize("code", _codes(), ids=lambda code: code.value)
def test_every_code_has_its_meaning_in_both_languages(code: Code) -> None:
    assert 0 < len(named(code, "es").meaning) <= 64
    assert named(code, "en") is code
    assert codes.MEANINGS[code.value, code.scheme_designator] == code.meaning


def test_a_finding_is_called_the_same_in_documents_and_on_pages() -> None:
    assert {name: FINDINGS[name] for name in codes.FINDINGS} == {n: code.meaning for n, code in codes.FINDINGS.items()}


def test_series_descriptions_fit() -> None:
    for key in SENTENCES:
        if key.startswith("series."):
            assert len(sentence(key, "es", model="m" * 30)) <= 64


@pytest.mark.parametrize(
    ("fraction", "hundredths", "cut"),
    [
        (0.5, "50", "50.0"),
        (0.9125, "91.25", "91.2"),
        (0.4999, "49.99", "49.9"),
        (0.29, "29", "29.0"),
        (1, "100", "100.0"),
    ],
)
def test_numbers_for_people(fraction: float, hundredths: str, cut: str) -> None:
    assert (percent(fraction), tenths(fraction)) == (hundredths, cut)
