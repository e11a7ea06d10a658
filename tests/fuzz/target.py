"""What a target is, and what it says of an input."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random


class Finding(Exception):
    """An input did what none may do. The message is a sentence."""


class Target(ABC):
    """Inputs, and what is done with them.

    `patience`: the seconds after which an input hangs. `workers`: processes that run inputs at the same time.
    `mortal`: what a worker dies of is code that the node keeps in a child of its own, so that a death is counted and
    is no finding.
    """

    name: str
    patience: float = 20.0
    workers: int = 1
    mortal: bool = False

    @contextmanager
    def standing(self, folder: Path) -> Iterator[None]:  # noqa: ARG002 - most have nothing in common
        """Set up what all workers share."""
        yield

    def begin(self, folder: Path) -> None:  # noqa: B027 - some need nothing
        """Set up what one worker needs, in `folder`."""

    @abstractmethod
    def make(self, chance: Random) -> bytes:
        """An input."""

    @abstractmethod
    def run(self, data: bytes) -> str:
        """Do it; a word for what came of it. Whatever is raised is a finding."""

    def look(self, final: bool) -> Iterator[str]:  # noqa: ARG002
        """What is wrong with what all workers share: sentences. Asked every few seconds, and when all is done."""
        return iter(())
