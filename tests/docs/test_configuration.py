"""docs/configuration.md is what the configuration's own file and models make of it."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from cxr_node.config import REPEATED, Config
from cxr_node.reloading import MAY_CHANGE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    place = importlib.util.spec_from_file_location("configuration", ROOT / "tools" / "configuration.py")
    assert place is not None and place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def rows(table: str) -> dict[str, list[str]]:
    """By key, the other cells of its row."""
    section = PAGE.partition(f"\n## `[{table}]`\n")[2] or PAGE.partition(f"\n## `[[{table}]]`\n")[2]
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_the_page_is_in_step(generator: ModuleType) -> None:
    assert generator.page() == PAGE, "make configuration"


def test_every_key_has_type_default_and_meaning() -> None:
    models = {name: type(each.default) for name, each in Config.model_fields.items() if name not in REPEATED}
    for table, model in {**models, **REPEATED}.items():
        keys = [key for key in model.model_fields if f"{table}.{key}" not in REPEATED]
        found = rows(table)
        assert sorted(found) == sorted(keys), table
        for key, (kind, default, _, meaning) in found.items():
            assert all((kind, default, meaning)), f"{table}.{key}"


def test_what_sighup_changes_is_marked() -> None:
    tables = re.findall(r"^## `\[+([a-z0-9.]+)\]+`$", PAGE, re.MULTILINE)
    marked = {f"{table}.{key}" for table in tables for key, row in rows(table).items() if row[2]}
    assert marked == {
        name if "." in name and name not in REPEATED else f"{name}.{key}"
        for name in MAY_CHANGE
        for key in (REPEATED[name].model_fields if name in REPEATED else [""])
    }


@pytest.mark.parametrize(
    ("table", "key", "start"),
    [
        ("receive", "port", ["whole number, 1 to 65535", "`11112`", ""]),
        ("web", "session_hours", ["number, above 0 and up to 168", "`12.0`", ""]),
        ("destination", "name", ["text", 'must be given, such as `"pacs"`', "yes"]),
        ("receive", "storage_commitment", ["text", 'unset; such as `"pacs"`', ""]),
        ("report", "key_objects", ['true or false or `"promoted"`', "`false`", ""]),
        ("worklist", "tiers", ["table: number, above 0 and below 1", "`{}`", "yes"]),
    ],
)
def test_rows_as_they_are_read(table: str, key: str, start: list[str]) -> None:
    assert rows(table)[key][:3] == start


def test_a_comment_is_told_from_a_value(generator: ModuleType) -> None:
    (table,) = generator.tables('# Before.\n#[[a]] # head\nkey = "a # b" # said\n     # and more\n#other = {} # x\n')
    assert (table.name, table.said) == ("a", ["Before.", "head"])
    assert [(key.name, key.value, key.said) for key in table.keys] == [
        ("key", '"a # b"', ["said", "and more"]),
        ("other", "{}", ["x"]),
    ]
    with pytest.raises(ValueError, match="no TOML"):
        generator.tables("[a]\nkey = what\n")
