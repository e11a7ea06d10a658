"""The page of `analyze`: every film is on it once, and nothing of a file's name is taken for markup."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from cxr_node.analyst import Result
from cxr_node.gallery import write_index
from cxr_node.locale import Language

SHARED = {"threshold": 0.5, "model": "cxr-pneumonia", "version": "1.0.0"}


def analysed(file: str, probability: float, picture: str, **more: str) -> Result:
    return Result(
        file=file, state="analysed", positive=probability >= 0.5, probability=probability, picture=picture,
        **SHARED, **more,
    )  # type: ignore[arg-type]  # fmt: skip


RESULTS = [
    analysed("a/low film.dcm", 0.1, "low film.png", sr="low film.sr.dcm", sc="low film.sc.dcm"),
    analysed("b/<script>&.png", 0.9, "<script>&.png"),
    Result(file="leg.dcm", state="not_analysed", reason="Body Part Examined (0018,0015) is 'LEG'", **SHARED),  # type: ignore[arg-type]
    Result(file="cut.jpg", state="error", reason="not a picture <b>", **SHARED),  # type: ignore[arg-type]
]


class Page(HTMLParser):
    """What a browser makes of it: links, pictures, tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [unquote(value or "") for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def page(tmp_path: Path, language: Language) -> Page:
    write_index(RESULTS, tmp_path, language)
    return Page((tmp_path / "index.html").read_text("utf-8"))


def test_the_most_severe_film_comes_first_and_every_one_is_there(tmp_path: Path) -> None:
    found = page(tmp_path, "en")
    assert found.sources == [
        "<script>&.png", "<script>&.png", "low film.png", "low film.png", "low film.sr.dcm", "low film.sc.dcm",
    ]  # fmt: skip
    assert "script" not in found.tags
    for text in ("b/<script>&.png", "is 'LEG'", "not a picture <b>", "2 analysed, 1 not analysed, 1 with errors"):
        assert text in found.text
    assert "1 at or above the threshold" in found.text


@pytest.mark.parametrize(("language", "use"), [("en", "Research use only"), ("es", "Solo para investigación")])
def test_it_speaks_the_language_of_the_site(tmp_path: Path, language: Language, use: str) -> None:
    assert use in page(tmp_path, language).text
    assert re.search(rf'<html lang="{language}">', (tmp_path / "index.html").read_text("utf-8"))


def test_it_asks_nothing_of_the_network(tmp_path: Path) -> None:
    page(tmp_path, "en")
    assert "http" not in (tmp_path / "index.html").read_text("utf-8")
