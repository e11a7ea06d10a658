"""Storage commitment as values (PS3.4 annex J): what is asked, what is reported, and what either side answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol

from cxr_node.errors import Permanent, Transient


class Status(IntEnum):
    """DIMSE-N status codes that the node gives (PS3.7 annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    NO_SUCH_EVENT = 0x0113
    INVALID_ARGUMENT = 0x0115
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORISED = 0x0124
    RESOURCE_LIMITATION = 0x0213


class Reason(IntEnum):
    """Failure Reason (0008,1197) of an instance that is not committed (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_CONFLICT = 0x0119


@dataclass(frozen=True, slots=True)
class Reference:
    """An instance that commitment is about. Study and series are empty where they are not known."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str = ""
    series_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What an X-ray machine asks of us by N-ACTION; `requester` is its AE title."""

    transaction_uid: str
    requester: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a peer reports by N-EVENT-REPORT: SOP Instance UIDs, those that failed with their Failure Reason."""

    transaction_uid: str
    committed: tuple[str, ...]
    failed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Held:
    """What a peer says of an instance that it holds; the class is empty where it does not say."""

    sop_class_uid: str
    retrieve_ae_title: str


@dataclass(frozen=True, slots=True)
class Query:
    """A C-FIND about an instance: its identifier as it is sent, how that is encoded, and the information model."""

    reference: Reference
    identifier: bytes
    transfer_syntax_uid: str
    information_model_uid: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What we tell an X-ray machine of one instance: where it can be had, or why it is not committed."""

    reference: Reference
    retrieve_ae_title: str | None = None
    failure: Reason | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of asking a peer about instances.

    `asked`: it took the request for commitment, and will report. Else `refusal` says why it did not, where that was
    wanted; and `held` says what it answered to C-FIND by SOP Instance UID (None: it has no such instance), or is None
    where it does not offer C-FIND. An instance that is missing in it could not be asked about in time.
    """

    asked: bool = False
    refusal: Permanent | Transient | None = None
    held: Mapping[str, Held | None] | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """Whether a destination is to commit to what it was sent, and how many seconds it may take to say so."""

    wanted: Literal["auto", "on", "off"]
    patience: float


class Ledger(Protocol):
    """Records what comes over the network, durably, before it is answered."""

    def reported(self, report: Report) -> Status:
        """A peer reports on a request of ours."""
        ...

    def requested(self, request: Request) -> Status:
        """A peer asks us for commitment."""
        ...


def by_outcome(outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Those that are committed, and those that failed."""
    return [one for one in outcomes if one.failure is None], [one for one in outcomes if one.failure is not None]
