"""One catalogue for all that the node says: nothing is missing in it, nothing is left over, and its terms are one."""

import importlib.util
import re
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from cxr_node.config.sections import Node
from cxr_node.locale import FOLDER, LANGUAGES, catalogue, said, translated
from cxr_node.message import N_, Message

ROOT = Path(__file__).parents[2]
PLACE = re.compile(r"%\(\w+\)s|\{[^}]*\}|\[+[\w.]+\]+")
OTHERS = [language for language in LANGUAGES if language != "en"]


def tool() -> ModuleType:
    place = importlib.util.spec_from_file_location("messages", ROOT / "tools" / "messages.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


TOOL = tool()
PATHS = dict(zip(OTHERS, TOOL.languages(), strict=True))


def read(language: str) -> Catalog:
    with PATHS[language].open("rb") as stream:
        return read_po(stream, abort_invalid=True)


def pairs(language: str) -> Iterator[tuple[str, str]]:
    """Each text and its translation; of texts with a plural, both forms."""
    for message in read(language):
        if message.id:
            many = isinstance(message.id, tuple)
            yield from zip(message.id, message.string, strict=True) if many else [(message.id, message.string)]


def places(text: str) -> Counter[str]:
    """What is put into a text, in either way of writing it, with its conversion and format."""
    if "%(" in text:
        return Counter(re.findall(r"%\(\w+\)[a-z]", text))
    found = string.Formatter().parse(text)
    return Counter(f"{name}!{conversion}:{form}" for _, name, form, conversion in found if name is not None)


def test_the_files_are_as_the_source_says() -> None:
    found = {path: (path.read_text("utf-8"), wanted) for path, wanted in TOOL.files()}
    assert len(found) == len(LANGUAGES)
    assert len(list(TOOL.collected())) > 300
    assert [path.name for path, (text, wanted) in found.items() if text != wanted] == [], "run `make messages`"


def test_there_is_one_catalogue_and_every_language_has_it() -> None:
    assert [Node(language=language).language for language in LANGUAGES] == ["en", "es"]
    assert {path.parent for path in (ROOT / "cxr_node").rglob("*.pot")} == {FOLDER}
    assert set((ROOT / "cxr_node").rglob("*.po")) == set(PATHS.values())


@pytest.mark.parametrize("language", OTHERS)
def test_everything_is_translated(language: str) -> None:
    catalogue = read(language)
    assert [text for text, translation in pairs(language) if not translation] == []
    assert [message.id for message in catalogue if message.id and message.fuzzy] == []
    assert list(catalogue.obsolete) == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_text_has_the_same_places_in_every_language(language: str) -> None:
    assert [text for text, translation in pairs(language) if places(text) != places(translation)] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_text_has_one_translation_whatever_its_first_letter(language: str) -> None:
    found: dict[str, set[str]] = {}
    for text, translation in pairs(language):
        found.setdefault(text.lower().rstrip("."), set()).add(translation.lower().rstrip("."))
    assert {text: several for text, several in found.items() if len(several) > 1} == {}


@pytest.mark.parametrize(
    ("english", "spanish", "never"),
    [
        (r"films?", r"radiograf", r"placas?|películas?|film"),
        (r"worklist", r"lista", r"lista de trabajo"),
        (r"thresholds?", r"umbral", r"límite de decisión"),
        (r"findings?", r"hallazgos?", r"descubrimientos?"),
        (r"stud(y|ies)", r"estudios?", r"exámen|examen"),
        (r"heat map", r"mapa de calor", r"mapa térmico"),
        (r"lateral", r"lateral", r"de perfil"),
        (r"chest", r"tórax", r"pecho"),
        (r"pixels", r"píxeles", r"pixeles"),
        (r"rows", r"filas", r"renglones"),
        (r"viral", r"viral", r"vírica"),
        (r"accession", r"acceso", r"adhesión"),
    ],
)
def test_the_terms_of_radiology_are_the_same_everywhere(english: str, spanish: str, never: str) -> None:
    found = [(PLACE.sub("", text), PLACE.sub("", other)) for text, other in pairs("es")]
    named = [(text, other) for text, other in found if re.search(rf"(?i)\b({english})\b", text)]
    assert named
    assert [text for text, other in named if not re.search(rf"(?i)\b{spanish}", other)] == []
    assert [text for text, other in found if re.search(rf"(?i)\b({never})\b", other)] == []


def test_a_catalogue_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        catalogue("es", tmp_path)


def test_a_message_is_its_english_and_can_be_said_in_another_language() -> None:
    why = Message("{finding}: certainty {percent} %", finding=Message("Pneumonia"), percent=91.2)
    assert why == "Pneumonia: certainty 91.2 %"
    assert said(why, "en") == why
    assert said(why, "es") == "Neumonía: certeza 91.2 %"
    kept = Message.from_json(why.to_json())
    assert (kept, said(kept, "es")) == (why, said(why, "es"))


def test_what_comes_from_outside_stays_as_it_is() -> None:
    assert said("Pneumonia", "es") == "Pneumonia"
    assert said(Message("a {strange} text of an earlier version"), "es") == "a {strange} text of an earlier version"
    assert said(Message("a {strange} text of {before}", strange="{0}", before=1), "es") == "a {0} text of 1"
    assert translated("", "es") == ""
    assert N_("Pneumonia") == "Pneumonia"


def test_a_place_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="finding"):
        Message("{finding}: below threshold", other=1)
