"""Reading the configuration: file, environment, and every mistake in them with its key."""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cxr_node.config.basis import Section
from cxr_node.config.sections import REPEATED
from cxr_node.config.whole import Config
from cxr_node.errors import ConfigError

DEFAULT_FILE = Path("config/cxr-node.toml")
FILE_VARIABLE = "CXR_NODE_CONFIG"
PREFIX = "CXR_NODE__"


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration from `path`, else $CXR_NODE_CONFIG, else config/cxr-node.toml, else the defaults.

    CXR_NODE__SECTION__KEY overrides a key, as TOML where it reads as TOML, else as text. Relative paths are relative
    to the working folder. Raises ConfigError that lists every mistake with its key and what was expected.
    """
    chosen = file_of(path, environment)
    data = read(chosen) if chosen else {}
    for section, key, value in overrides(environment):
        table = data.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(
                f"{PREFIX}{section.upper()}__{key.upper()}: [{section}] is not a table that can be overridden"
            )
        table[key] = value
    return validated(data, str(chosen) if chosen else "the environment")


def validated(data: Mapping[str, Any], source: str) -> Config:
    """The configuration that tables make; `source` is what they are from. Raises as `load`."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_described(error)}") from error


def file_of(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The file that is read: the one that is given, else by the environment, else in the working folder, if any."""
    chosen = path or (Path(environment[FILE_VARIABLE]) if environment.get(FILE_VARIABLE) else None)
    return DEFAULT_FILE if chosen is None and DEFAULT_FILE.is_file() else chosen


def read(path: Path) -> dict[str, Any]:
    """The tables of a file, not validated yet. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def overrides(environment: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    """Table, key and value of each variable that overrides a key."""
    for name, text in sorted(environment.items()):
        section, _, key = name.removeprefix(PREFIX).partition("__")
        if not name.startswith(PREFIX) or not key:
            continue
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        yield section.lower(), key.lower(), value


def _described(error: ValidationError) -> str:
    mistakes = error.errors(include_url=False)
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return "\n  ".join([count, *(_mistake(m["loc"], m["type"], m["msg"], m.get("input")) for m in mistakes)])


def _mistake(location: tuple[int | str, ...], kind: str, message: str, found: object) -> str:
    key = ".".join(str(part) for part in location) or "file"
    if kind == "extra_forbidden":
        return f"{key}: unknown key{_nearest(location)}"
    shown = "" if isinstance(found, dict | list | tuple | Section) else f" (found {found!r})"
    return f"{key}: {message.removeprefix('Value error, ')}{shown}"


def _nearest(location: tuple[int | str, ...]) -> str:
    names = [part for part in location if isinstance(part, str)]
    fields: Mapping[str, Any] = Config.model_fields
    table = ".".join(names[:-1])
    if table and names[0] in fields:
        section = REPEATED.get(table) or type(fields[names[0]].default)
        fields = section.model_fields
    near = difflib.get_close_matches(names[-1], fields, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(fields))}"
