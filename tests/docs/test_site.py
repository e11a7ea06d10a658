"""The site, built as `make site` builds it: no warning, no page left out, no link that leads nowhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a page leads to, and the places in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if value and name == "id":
                self.places.add(value)
            if value and name in ("href", "src") and tag != "link":
                self.targets.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    recipe = re.search(r"^site: .*\n\t\$\(BIN\)/(.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe
    command = recipe[1].replace("build/", f"{folder}/").split()
    done = subprocess.run(
        [Path(sys.executable).parent / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "site"


def test_every_link_leads_somewhere(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 25
    wrong = []
    for path, page in pages.items():
        for target in page.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            there = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not there.exists() or (there in pages and url.fragment and url.fragment not in pages[there].places):
                wrong.append(f"{path.relative_to(site)}: {target}")
    assert wrong == []


def test_every_model_card_is_there(site: Path) -> None:
    cards = [path.relative_to(ROOT).with_suffix(".html") for path in ROOT.glob("models/*/*/docs/README.md")]
    assert cards
    index = (site / "docs" / "index.html").read_text("utf-8")
    assert [card for card in cards if not (site / card).exists() or f"../{card}" not in index] == []


def test_pictures_come_along(site: Path) -> None:
    names = {path.name for path in (site / "_images").iterdir()}
    assert {"flow.svg", "processes.svg", "heatmap.jpg", "worklist.png"} <= names


def test_who_opens_the_folder_gets_to_the_first_page(site: Path) -> None:
    assert "url=docs/index.html" in (site / "index.html").read_text("utf-8")
