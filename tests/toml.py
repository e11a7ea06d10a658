"""A configuration as the text of its file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def toml(tables: dict[str, dict[str, Any]], repeated: dict[str, Sequence[dict[str, Any]]]) -> str:
    """Sections by name, and the tables that may be repeated, such as [[destination]], by theirs."""
    parts = [(f"[{name}]", table) for name, table in tables.items()]
    parts += [(f"[[{name}]]", table) for name in repeated for table in repeated[name]]
    return "\n".join("\n".join([head, *(f"{key} = {_value(v)}" for key, v in table.items())]) for head, table in parts)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + "}"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
