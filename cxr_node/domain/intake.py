"""What the listener hands over, and what it may answer."""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO, Protocol


class Answer(IntEnum):
    """C-STORE status codes that the node gives (PS3.4 B.2.3, PS3.7 C)."""

    STORED = 0x0000
    FAULT = 0x0110
    OUT_OF_RESOURCES = 0xA700
    MISMATCH = 0xA900
    NOT_UNDERSTOOD = 0xC000


@dataclass(frozen=True, slots=True)
class Received:
    """A data set as it came over an association, in a part of the spool.

    `stream` is open on the part; `digest` is the SHA-256 (hex) of the data set; `error` is what went wrong while its
    bytes were written; `address` is that of the calling machine, empty where it is not known.
    """

    path: Path
    stream: BinaryIO
    digest: str
    error: OSError | None
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    calling_ae_title: str
    address: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the sender is answered, with a sentence where it is refused; `study` is set when a film was stored."""

    answer: Answer
    comment: str = ""
    study: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A caller that got no association. `event` is what the trail calls it; `calling` is empty where it was not said.

    `times` counts those from this address, for this reason, since it was last told of; `calling` is of the newest.
    """

    event: str
    address: str
    calling: str
    reason: str
    times: int


class Intake(Protocol):
    """Takes responsibility for received objects."""

    def accept(self, received: Received) -> Verdict:
        """Store the object, drop it, or keep it aside."""
        ...

    def full(self) -> bool:
        """Whether there is no room for more objects at this moment."""
        ...

    def released(self, studies: frozenset[str]) -> None:
        """The association over which films of these studies came was released."""
        ...
