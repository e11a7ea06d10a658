"""The shipped configuration: a person's reference, so every key stands in it with its default and what it means."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from cxr_node import config
from cxr_node.config import REPEATED, Config, Section

FILE = Path(__file__).parents[2] / "config" / "cxr-node.toml"
TEXT = FILE.read_text("utf-8")
SECTIONS: dict[str, type[Section]] = {
    **{name: type(field.default) for name, field in Config.model_fields.items() if name not in REPEATED}, **REPEATED
}  # fmt: skip
KEYS = [
    (name, key) for name, section in SECTIONS.items() for key in section.model_fields if f"{name}.{key}" not in REPEATED
]


def lines_of(section: str) -> list[str]:
    """The lines of a table, commented out or not, up to the next table."""
    found = re.search(rf"^#?\[\[?{section}\]\]?[^\n]*\n(.*?)(?=^#?\[|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"[{section}] is not in {FILE.name}"
    return found[1].splitlines()


def line_of(section: str, key: str) -> str:
    found = [line for line in lines_of(section) if re.match(rf"#?{key} *=", line)]
    assert len(found) == 1, f"{section}.{key} stands {len(found)} times in {FILE.name}"
    return found[0]


def test_as_it_stands_it_says_the_defaults() -> None:
    assert config.load(FILE, {}) == Config()


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_stands_in_it_with_its_default(section: str, key: str) -> None:
    line = line_of(section, key)
    field = SECTIONS[section].model_fields[key]
    if line.startswith("#"):
        if field.default not in (None, PydanticUndefined):
            assert tomllib.loads(line[1:])[key] == field.default
    else:
        stated: Any = Config.model_validate({section: tomllib.loads(line)})
        assert getattr(getattr(stated, section), key) == field.default


def test_with_every_comment_taken_away_it_is_still_valid() -> None:
    text = re.sub(r"^#(?=\[\[|[a-z_]+ *=)", "", TEXT, flags=re.MULTILINE)
    found = Config.model_validate(tomllib.loads(text))
    assert len(found.destination) == len(found.worklist.hl7) == 1
    assert {key for _, key in KEYS} <= set(re.findall(r"^([a-z_]+) *=", text, re.MULTILINE))


def test_every_key_is_explained() -> None:
    following = {line: after for section in SECTIONS for line, after in pairwise([*lines_of(section), ""])}
    said = [(name, line_of(*name)) for name in KEYS]
    bare = [name for name, line in said if "#" not in line.lstrip("#") and not re.match(" +# ", following[line])]
    assert bare == []


@pytest.mark.parametrize("section", SECTIONS)
def test_nothing_stands_in_it_that_is_no_key(section: str) -> None:
    known = {key for name, key in KEYS if name == section}
    assert {m[1] for line in lines_of(section) if (m := re.match(r"#?([a-z_]+) *=", line))} == known
