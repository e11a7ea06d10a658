"""Which documents are made beside report and heat map, and how a destination takes documents."""

from dataclasses import dataclass
from typing import Literal

from cxr_node.domain.report_class import ReportClass

Companion = Literal["pdf", "pr", "seg"]
"""A page, a presentation state, a segmentation."""


@dataclass(frozen=True, slots=True)
class Taste:
    """How a destination takes documents: the SR class to begin with, whether groups need a region, whether a page."""

    sr_class: ReportClass = "comprehensive_3d"
    whole_image: bool = False
    pdf: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What a job about documents is to write: a revision in a mode.

    With `destination` for that one alone; then a report is in the class `sr_class`, which it accepts.
    """

    revision: int
    mode: str
    sr_class: str = ""
    destination: str = ""

    @classmethod
    def parse(cls, text: str) -> "Target":
        """The inverse of `str`. Raises ValueError for what is no target."""
        number, mode, *rest = text.split("/")
        if len(rest) == 1:
            return cls(int(number), mode, destination=rest[0])
        return cls(int(number), mode, *rest)

    def __str__(self) -> str:
        parts = [str(self.revision), self.mode, self.sr_class, self.destination]
        return "/".join(part for part in parts if part)
