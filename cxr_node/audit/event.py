"""An event of the trail, as the audit messages look at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the trail."""

    sequence: int
    time: float
    name: str
    study: str
    detail: Mapping[str, Any]

    def text(self, key: str) -> str:
        return str(self.detail.get(key) or "")


Group = list[Event]
"""Events that are told in one message, the last of them last."""
