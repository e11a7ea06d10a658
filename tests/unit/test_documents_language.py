"""Nothing is missing in either language, and numbers read as they should."""

import string

import pytest
from pydicom.sr.coding import Code

from cxr_node.documents import codes
from cxr_node.documents.language import SENTENCES, SPANISH, named, sentence
from cxr_node.documents.wording import percent
from cxr_node.domain.finding import tenths


def _codes() -> list[Code]:
    found = []
    for thing in vars(codes).values():
        found += [each for each in (thing.values() if isinstance(thing, dict) else [thing]) if isinstance(each, Code)]
    return found


@pytest.mark.parametrize("code", _codes(), ids=lambda code: code.value)
def test_every_code_has_a_spanish_meaning_that_fits(code: Code) -> None:
    assert 0 < len(named(code, "es").meaning) <= 64
    assert named(code, "en") is code


def test_every_meaning_fits_a_long_string() -> None:
    assert all(0 < len(meaning) <= 64 for meaning in SPANISH.values())


@pytest.mark.parametrize("key", SENTENCES)
def test_a_sentence_says_the_same_in_both_languages(key: str) -> None:
    def fields(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}

    spoken = SENTENCES[key]
    assert set(spoken) == {"en", "es"}
    assert fields(spoken["en"]) == fields(spoken["es"])


def test_series_descriptions_fit() -> None:
    for key in ("series.sr", "series.sc"):
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
