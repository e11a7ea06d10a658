"""docs/configuration.md, made from config/cxr-node.toml and the models that it is validated by: `make configuration`.

What a key means, and an example where it has no default, is what the file says; type, limits and default are those of
the models; whether SIGHUP is enough is what `cxr_node.reloading` says.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxr_node.config import REPEATED, Config
from cxr_node.reloading import MAY_CHANGE

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "config" / "cxr-node.toml"
PAGE = ROOT / "docs" / "configuration.md"
_HEAD = """# Configuration

<!-- Made by `make configuration` from config/cxr-node.toml. Change that file, not this page. -->

One TOML file: the one that `-c FILE` names, else `$CXR_NODE_CONFIG`, else `config/cxr-node.toml` in the working
folder. A key that is left out has its default, and one that does not exist is refused with the nearest that does. In
the environment `CXR_NODE__SECTION__KEY` overrides a key, for instance `CXR_NODE__RECEIVE__PORT=104`. Relative paths
start at the working folder. `cxr-node config show --effective` prints every key, its value and who said so; `cxr-node
check` looks the whole over. To begin with there are files for [a small clinic](../config/examples/small-clinic.toml),
[a hospital](../config/examples/hospital.toml) and [a node with a GPU](../config/examples/gpu.toml).

*At once*: takes effect with `systemctl reload` (SIGHUP), without a film or an association lost. Every other key waits
for a restart, and the log says so ([config.needs_restart](log.md)).
"""
_KINDS = {"boolean": "true or false", "integer": "whole number", "number": "number", "string": "text"}


@dataclass
class Key:
    """A key as the file has it: its value as TOML, and what is said of it."""

    name: str
    value: str
    said: list[str]


@dataclass
class Table:
    """A table of the file, with what is said before its first key."""

    name: str
    said: list[str]
    keys: list[Key] = field(default_factory=list)


def tables(text: str) -> list[Table]:
    """The tables of the file, whether they stand in comments or not."""
    found: list[Table] = []
    before: list[str] = []
    for line in text.splitlines():
        if head := re.match(r"#?\[\[?([a-z0-9_.]+)\]\]? *(?:# (.*))?$", line):
            found.append(Table(head[1], [*before, *filter(None, [head[2]])]))
            before = []
        elif key := re.match(r"#?([a-z_]+) *= (.*)$", line):
            value, said = _parted(key[2])
            found[-1].keys.append(Key(key[1], value, [said] if said else []))
        elif more := re.match(r" +# (.*)$", line):
            (found[-1].keys[-1].said if found[-1].keys else found[-1].said).append(more[1].strip())
        elif plain := re.match(r"# (.*)$", line):
            before.append(plain[1])
        elif not line:
            before = []
    return found


def page() -> str:
    """The whole page."""
    schema = Config.model_json_schema()
    parts = [_HEAD]
    for table in tables(REFERENCE.read_text("utf-8")):
        model = REPEATED.get(table.name) or type(Config.model_fields[table.name].default)
        stated = schema["$defs"][model.__name__]
        parts.append("\n".join(_section(table, stated, schema["$defs"])))
    return "\n".join(parts)


def _section(table: Table, stated: Mapping[str, Any], types: Mapping[str, Any]) -> Iterator[str]:
    yield f"## `[[{table.name}]]`" if table.name in REPEATED else f"## `[{table.name}]`"
    yield ""
    if table.said:
        said = _linked(" ".join(table.said))
        yield f"{said[0].upper()}{said[1:]}{'' if said[-1] in '.:' else '.'}\n"
    yield "| key | type | default | at once | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for key in table.keys:
        kind = stated["properties"][key.name]
        at_once = "yes" if {table.name, f"{table.name}.{key.name}"} & MAY_CHANGE else ""
        default = _default(key, kind, required=key.name in stated.get("required", ()))
        cells = (f"`{key.name}`", _kind(kind, types), default, at_once, _linked(" ".join(key.said)))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _parted(text: str) -> tuple[str, str]:
    """A value and the comment behind it."""
    for place in (found.start() for found in re.finditer(r"#|$", text)):
        try:
            tomllib.loads(f"value = {text[:place]}")
        except tomllib.TOMLDecodeError:
            continue
        return text[:place].strip(), text[place + 1 :].strip()
    raise ValueError(f"no TOML: {text}")


def _default(key: Key, kind: Mapping[str, Any], *, required: bool) -> str:
    if required:
        return f"must be given, such as `{key.value}`"
    return f"unset; such as `{key.value}`" if kind["default"] is None else f"`{key.value}`"


def _kind(kind: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    """What may stand there, in words."""
    if "$ref" in kind:
        kind = types[kind["$ref"].rpartition("/")[2]]
    if "anyOf" in kind:
        return " or ".join(_kind(each, types) for each in kind["anyOf"] if each.get("type") != "null")
    if "const" in kind or "enum" in kind:
        return ", ".join(f"`{json.dumps(each)}`" for each in kind.get("enum", [kind.get("const")]))
    if kind["type"] == "array":
        return f"list: {_kind(kind['items'], types)}" if "items" in kind else "list of two numbers"
    if kind["type"] == "object":
        if "properties" in kind:
            return f"table: {', '.join(f'`{name}`' for name in kind['properties'])}"
        return (
            f"table: {_kind(kind.get('additionalProperties') or next(iter(kind['patternProperties'].values())), types)}"
        )
    name = "path" if kind.get("format") == "path" else _KINDS[kind["type"]]
    return ", ".join(filter(None, (name, _limits(kind))))


def _limits(kind: Mapping[str, Any]) -> str:
    """What a number lies between; how long a text may be."""
    if "maxLength" in kind:
        return f"{kind.get('minLength', 0)} to {kind['maxLength']} characters"
    least, above = kind.get("minimum"), kind.get("exclusiveMinimum")
    most, below = kind.get("maximum"), kind.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f"{least:g} to {most:g}" if most < 1e6 else f"{least} to {most}"
    low = f"{least:g} or more" if least is not None else f"above {above:g}" if above is not None else ""
    high = f"up to {most:g}" if most is not None else f"below {below:g}" if below is not None else ""
    return " and ".join(filter(None, (low, high)))


def _linked(text: str) -> str:
    return re.sub(r"\b(?:docs/)?((?:operations|corrections)\.md)", r"[\1](\1)", text)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
