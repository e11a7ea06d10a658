"""A sentence for people that can be said in their language: English everywhere, and what it was made from beside it."""

from collections.abc import Mapping
from typing import Any, Self


class Message(str):
    """A sentence of the catalogue (`cxr_node.locale`) with its values filled in.

    It is its English text, so that logs, `--json` and the command line have that and know nothing of languages; whoever
    shows it to a person renders it anew from `text`, which has the places as `str.format` knows them, and `values`
    (strings, numbers, or further messages; anything else as `str` gives it). A text without values stands as it is,
    braces and all.

    Raises KeyError for a place that is given no value.
    """

    __slots__ = ("text", "values")
    text: str
    values: Mapping[str, Any]

    def __new__(cls, text: str, /, **values: Any) -> Self:
        kept = {name: value if isinstance(value, str | int | float) else str(value) for name, value in values.items()}
        made = super().__new__(cls, text.format(**kept) if kept else text)
        made.text, made.values = text, kept
        return made

    def to_json(self) -> list[Any]:
        """As it is kept: the text, and its values by name."""
        return [self.text, {name: v.to_json() if isinstance(v, Message) else v for name, v in self.values.items()}]

    @classmethod
    def from_json(cls, kept: list[Any]) -> Self:
        """The inverse of `to_json`."""
        text, values = kept
        return cls(text, **{name: cls.from_json(v) if isinstance(v, list) else v for name, v in values.items()})


def N_(text: str) -> str:
    """Marks a text for the catalogue; it is translated where it is shown."""
    return text
