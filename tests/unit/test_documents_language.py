"""Nothing is missing in either language, and numbers read as they should."""

import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from pydicom.sr.coding import Code

import cxr_node.locale
from cxr_node.config.sections import Node
from cxr_node.documents import codes
from cxr_node.documents.language import named, sentence
from cxr_node.documents.wording import percent
from cxr_node.domain.finding import tenths
from cxr_node.locale import LANGUAGES, messages

SOURCE = Path(cxr_node.locale.__file__).parents[1]
ENGLISH, SPANISH = messages("documents", "en"), messages("documents", "es")
CODED = re.compile(r"\S+ (DCM|SCT|LN|UCUM|RADLEX|RFC5646)")
"""The names of meanings of codes; the other messages are sentences."""


def _codes() -> list[Code]:
    found = []
    for thing in vars(codes).values():
        found += [each for each in (thing.values() if isinstance(thing, dict) else [thing]) if isinstance(each, Code)]
    return found


def _catalogue(path: str) -> Catalog:
    with (SOURCE / "locale" / path).open("rb") as stream:
        return read_po(stream, abort_invalid=True)


def _fields(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}


def _named_in_source() -> Iterator[str]:
    """The names of sentences as they stand in the source, whole or as the beginning of one."""
    for path in [*(SOURCE / "documents").glob("*.py"), SOURCE / "panel.py", SOURCE / "gallery.py"]:
        yield from re.findall(r'(?:sentence|say)\(\s*"([a-z_.]+)"', path.read_text("utf-8"))


def test_every_catalogue_has_every_string() -> None:
    english, spanish = _catalogue("documents.pot"), _catalogue("es/LC_MESSAGES/documents.po")
    wanted = {(message.context, message.id) for message in english if message.id}
    assert len({context for context, _ in wanted}) == len(wanted)
    assert {(message.context, message.id) for message in spanish if message.id} == wanted
    assert [message.id for message in spanish if message.id and (message.fuzzy or not message.string)] == []
    assert ENGLISH.keys() == SPANISH.keys()


def test_every_sentence_that_the_source_asks_for_is_there() -> None:
    asked = set(_named_in_source())
    assert len(asked) > 15
    assert {key for key in asked if not any(name.startswith(key) for name in ENGLISH)} == set()


def test_the_configuration_offers_the_languages_that_there_are() -> None:
    assert [Node(language=language).language for language in LANGUAGES] == ["en", "es"]


def test_a_catalogue_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        messages("documents", "es", tmp_path)


@pytest.mark.parametrize("code", _codes(), ids=lambda code: code.value)
def test_every_code_has_its_meaning_in_both_languages(code: Code) -> None:
    assert 0 < len(named(code, "es").meaning) <= 64
    assert named(code, "en") is code
    assert ENGLISH[f"{code.value} {code.scheme_designator}"] == code.meaning


def test_every_meaning_fits_a_long_string() -> None:
    assert all(0 < len(meaning) <= 64 for key, meaning in SPANISH.items() if CODED.fullmatch(key))


@pytest.mark.parametrize("key", [key for key in ENGLISH if not CODED.fullmatch(key)])
def test_a_sentence_says_the_same_in_both_languages(key: str) -> None:
    assert _fields(ENGLISH[key]) == _fields(SPANISH[key])


def test_series_descriptions_fit() -> None:
    for key in ENGLISH:
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
