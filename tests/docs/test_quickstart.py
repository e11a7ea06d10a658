"""The quickstart in two languages, and the script that follows it word by word."""

import re
import tomllib
from pathlib import Path

from cxr_node import config
from tests.quickstart import PAGE, blocks, commands, edited

ENGLISH = PAGE.read_text("utf-8")
SPANISH = PAGE.with_suffix(".es.md").read_text("utf-8")
REFERENCE = PAGE.parents[1] / "config" / "cxr-node.toml"


def test_the_commands_are_those_of_the_english_page() -> None:
    assert commands(SPANISH) == commands(ENGLISH)
    assert [kind for kind, _ in blocks(SPANISH)] == [kind for kind, _ in blocks(ENGLISH)]


def test_the_configuration_is_that_of_the_english_page() -> None:
    said = [[tomllib.loads(text) for kind, text in blocks(page) if kind == "toml"] for page in (SPANISH, ENGLISH)]
    assert said[0] == said[1] != []


def test_what_stands_in_the_text_is_the_same_too() -> None:
    """Commands, keys and statuses between backquotes, in whatever order a language has them."""
    plain = [re.sub(r"```.*?```", "", page, flags=re.DOTALL) for page in (SPANISH, ENGLISH)]
    spanish, english = (sorted(set(re.findall(r"`([^`\n]+)`", text))) for text in plain)
    assert set(english) <= set(spanish)
    assert set(spanish) - set(english) == {'language = "es"', "[node]", "shadow"}


def test_a_person_edits_the_shipped_configuration_as_the_page_says(tmp_path: Path) -> None:
    block = next(text for kind, text in blocks(ENGLISH) if kind == "toml")
    text = edited(REFERENCE.read_text("utf-8"), block)
    (tmp_path / "node.toml").write_text(text)
    found = config.load(tmp_path / "node.toml", {})
    (pacs,) = found.destination
    assert (pacs.name, pacs.host, pacs.port) == ("pacs", "192.168.10.5", 104)
    assert (found.receive.host, found.receive.allowed_networks) == ("0.0.0.0", ("192.168.10.0/24", "127.0.0.1"))
    assert found.receive.port == 11112
    assert found.web.host == found.hl7.host == "127.0.0.1"


def test_who_sends_by_hand_as_the_page_says_is_let_in() -> None:
    block = tomllib.loads(next(text for kind, text in blocks(ENGLISH) if kind == "toml"))
    assert any("127.0.0.1" in command for command in commands(ENGLISH) if command.startswith("storescu"))
    assert "127.0.0.1" in block["receive"]["allowed_networks"]
