"""A modality performed procedure step: what an X-ray machine says of it, and what it may become (PS3.4 annex F)."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from cxr_node.message import N_, Message


class StepState(StrEnum):
    """Performed Procedure Step Status (0040,0252); the last two are final."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


class Status(IntEnum):
    """DIMSE-N status codes that the node gives (PS3.7 annex C)."""

    SUCCESS = 0x0000
    INVALID_VALUE = 0x0106
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_INSTANCE = 0x0111
    NO_SUCH_INSTANCE = 0x0112
    INVALID_INSTANCE = 0x0117
    MISSING_ATTRIBUTE = 0x0120
    MISSING_VALUE = 0x0121
    RESOURCE_LIMITATION = 0x0213


NO_LONGER_UPDATED = 0xA506
"""Error ID (0000,0903): the step is final (PS3.4 F.7.2.2.3)."""

# PS3.16 CID 9300, as far as it can happen to a chest film.
_MEANINGS = {
    "110500": N_("doctor cancelled the procedure"),
    "110501": N_("equipment failure"),
    "110502": N_("incorrect procedure ordered"),
    "110504": N_("patient died"),
    "110505": N_("patient refused to continue"),
    "110506": N_("patient taken for treatment or surgery"),
    "110507": N_("patient did not arrive"),
    "110508": N_("patient pregnant"),
    "110509": N_("change of procedure for correct charging"),
    "110510": N_("duplicate order"),
    "110511": N_("nursing unit cancelled"),
    "110512": N_("incorrect side ordered"),
    "110513": N_("unspecified reason"),
    "110514": N_("incorrect worklist entry selected"),
    "110515": N_("patient's condition prevented continuing"),
    "110516": N_("equipment change"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step was discontinued: a coded value."""

    value: str
    scheme: str

    @property
    def sentence(self) -> Message:
        """Of the standard's own codes the meaning; what a machine calls another code may say anything."""
        known = _MEANINGS.get(self.value) if self.scheme == "DCM" else None
        why = Message(known or N_("a reason of its own"))
        return Message("the X-ray machine discontinued the procedure step: {why}", why=why)


WRONG_ENTRY = Reason("110514", "DCM")
"""Incorrect worklist entry selected: what was acquired is filed under somebody else's order."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An instance that a step says it made. The class is empty where it is not said."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What a request says of a step; None where it does not say, empty where it gives no value.

    `status` as it was sent; `studies`: Study Instance UIDs of Scheduled Step Attributes Sequence (0040,0270);
    `instances`: what Performed Series Sequence (0040,0340) lists; `reason`: of discontinuation (0040,0281).
    """

    sop_instance_uid: str
    calling_ae_title: str
    status: str | None = None
    studies: tuple[str, ...] | None = None
    instances: tuple[Listed, ...] = ()
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What the X-ray machine is answered, with a sentence of up to 64 characters where it is refused."""

    status: Status = Status.SUCCESS
    comment: str = ""
    error_id: int | None = None


class Steps(Protocol):
    """Keeps what X-ray machines say of their steps, durably, before they are answered."""

    def create(self, said: Statement) -> Reply:
        """N-CREATE."""
        ...

    def change(self, said: Statement) -> Reply:
        """N-SET."""
        ...


def fault_in_creation(said: Statement) -> Reply | None:
    """Why a step cannot begin as it is said to; None when it can. Only what the node needs is asked for."""
    if fault := _fault_in_status(said.status, (StepState.IN_PROGRESS,)):
        return fault
    if said.status is None:
        return Reply(Status.MISSING_ATTRIBUTE, "Performed Procedure Step Status (0040,0252) is missing")
    if said.studies is None:
        return Reply(Status.MISSING_ATTRIBUTE, "Scheduled Step Attributes Sequence (0040,0270) is missing")
    if not said.studies:
        return Reply(Status.MISSING_VALUE, "(0040,0270) has no valid Study Instance UID (0020,000D)")
    return None


def fault_in_change(state: StepState, said: Statement) -> Reply | None:
    """Why a step cannot be changed as it is said to; None when it can."""
    if state is not StepState.IN_PROGRESS:
        sentence = "the performed procedure step may no longer be updated"
        return Reply(Status.PROCESSING_FAILURE, sentence, NO_LONGER_UPDATED)
    return _fault_in_status(said.status, tuple(StepState))


def _fault_in_status(status: str | None, allowed: tuple[StepState, ...]) -> Reply | None:
    if status == "":
        return Reply(Status.MISSING_VALUE, "Performed Procedure Step Status (0040,0252) is empty")
    if status is not None and status not in allowed:
        return Reply(Status.INVALID_VALUE, "Performed Procedure Step Status (0040,0252) is not allowed here")
    return None
