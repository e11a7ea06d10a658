"""Where each value of the configuration came from: its default, the file, or the environment."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_node.config.file import PREFIX, file_of, load, overrides, read

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Value:
    """A key such as receive.port or destination.pacs.host, what it is (as JSON has it), and who said so."""

    key: str
    value: Any
    origin: str


def effective(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> list[Value]:
    """Every key as it is in force, in the order of the reference. Raises as `load`."""
    config = load(path, environment).model_dump(mode="json")
    file = file_of(path, environment)
    stated = read(file) if file else {}
    overridden = {(table, key) for table, key, _ in overrides(environment)}
    found = []
    for table, value in config.items():
        for key, one, said in _keys(value, stated.get(table)):
            origin = str(file) if said else DEFAULT
            if (table, key.partition(".")[0]) in overridden:
                origin = f"{PREFIX}{table}__{key.partition('.')[0]}".upper()
            found.append(Value(f"{table}.{key}", one, origin))
    return found


def _keys(value: Any, stated: Any) -> Iterator[tuple[str, Any, bool]]:
    """The keys below a table, or below each of a table that may be repeated, and whether the file states them."""
    if isinstance(value, dict):
        for key, one in value.items():
            said = isinstance(stated, dict) and key in stated
            if _is_table_list(one):
                yield from ((f"{key}.{name}", each, told) for name, each, told in _keys(one, stated[key]))
            else:
                yield key, one, said
    else:
        for number, one in enumerate(value):
            name = one.get("name") or one.get("ae_title") or str(number)
            yield from ((f"{name}.{key}", each, said) for key, each, said in _keys(one, stated[number]))


def _is_table_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)
