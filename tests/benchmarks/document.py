"""docs/benchmarks.md: each part that was measured takes the place of its section there."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import goals
from tests.benchmarks.figures import Part

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def write(parts: Mapping[str, Part], told: Sequence[Mapping[str, Any]], document: Path = DOCUMENT) -> None:
    """Write the tables of `parts`, and the goals where each was measured; `told` says when, on what and by which
    command each part was."""
    text = document.read_text("utf-8")
    for name, part in parts.items():
        taken = next(each for each in told if each["part"] == name)
        text = _replaced(text, name, [f"## {part.title}", "", *part.markdown(), "", _taken(taken)])
    if goals.complete(parts):
        where = "Each figure is of a part below, where its command, day and machine stand."
        text = _replaced(text, "goals", [*goals.markdown(parts), "", where])
    document.write_text(text, "utf-8")


def _taken(told: Mapping[str, Any]) -> str:
    on = told["machine"]
    where = f"{on['cores']} cores ({on['processor']}), {on['architecture']}, Python {on['python']}, load {on['load']:g}"
    return f"`{told['command']}`; {told['date'][:10]}, {where}."


def _replaced(text: str, name: str, lines: Iterable[str]) -> str:
    section = "\n".join([f"<!-- {name} -->", *lines, f"<!-- /{name} -->"])
    place = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    return place.sub(lambda _: section, text) if place.search(text) else f"{text.rstrip()}\n\n{section}\n"
