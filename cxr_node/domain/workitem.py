"""A workitem of the Unified Procedure Step service: what it may become, and who may change it (PS3.4 annex CC).

Pure rules. Each study of the worklist has workitems that stand for its reading: one that the node made, and those that
peers created for it. They follow the study: whoever claims, reads, or gives it back, by whatever way, moves them too. A
workitem never comes back from a final state (table CC.1.1-2); a study that is to be read again gets a new one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from cxr_node.domain.dicom_json import Attributes, first
from cxr_node.domain.priority import Group, Priority
from cxr_node.domain.study import EntryState
from cxr_node.domain.uid import UUID_ROOT, derive_uid

GLOBAL = "1.2.840.10008.5.1.4.34.5"
"""UPS Global Subscription SOP Instance: stands for every workitem."""
FILTERED = "1.2.840.10008.5.1.4.34.5.1"
"""UPS Filtered Global Subscription SOP Instance: stands for those that match keys."""


class State(StrEnum):
    """Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def final(self) -> bool:
        return self in (State.COMPLETED, State.CANCELED)


class Status(IntEnum):
    """Status codes that the node gives (PS3.4 tables CC.2.1-2 to CC.2.8-2, PS3.7 annex C)."""

    SUCCESS = 0x0000
    NOT_SUPPORTED = 0x0001
    CREATED_MODIFIED = 0xB300
    NO_LOCK = 0xB301
    ALREADY_CANCELED = 0xB304
    COERCED = 0xB305
    ALREADY_COMPLETED = 0xB306
    INVALID_VALUE = 0x0106
    PROCESSING_FAILURE = 0x0110
    DUPLICATE = 0x0111
    INVALID_ARGUMENT = 0x0115
    INVALID_INSTANCE = 0x0117
    MISSING_ATTRIBUTE = 0x0120
    MISSING_VALUE = 0x0121
    NO_SUCH_ACTION = 0x0123
    UNRECOGNISED = 0x0211
    RESOURCE_LIMITATION = 0x0213
    NOT_UPDATED = 0xC300
    WRONG_TRANSACTION = 0xC301
    ALREADY_IN_PROGRESS = 0xC302
    ONLY_BY_CREATION = 0xC303
    FINAL_STATE_UNMET = 0xC304
    UNKNOWN = 0xC307
    RECEIVER_UNKNOWN = 0xC308
    NOT_SCHEDULED = 0xC309
    NOT_IN_PROGRESS = 0xC310
    CANCEL_COMPLETED = 0xC311
    UNREACHABLE = 0xC312
    NOT_CANCELED = 0xC313
    NOT_APPROPRIATE = 0xC314

    @property
    def refused(self) -> bool:
        """Whether nothing was done."""
        return self not in (Status.SUCCESS, Status.NOT_SUPPORTED) and self >> 12 != 0xB


class Action(IntEnum):
    """Action Type ID of N-ACTION."""

    CHANGE_STATE = 1
    REQUEST_CANCEL = 2
    SUBSCRIBE = 3
    UNSUBSCRIBE = 4
    SUSPEND = 5


class Event(IntEnum):
    """Event Type ID of N-EVENT-REPORT (table CC.2.4-1)."""

    STATE = 1
    CANCEL_REQUESTED = 2
    PROGRESS = 3
    SCP_STATUS = 4
    ASSIGNED = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name that the trail and the worklist show, what they go by among subscribers, and from where."""

    name: str
    ae_title: str
    address: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as it came over an association, for the audit trail: its identifier in base64, and in which syntax."""

    identifier: str
    transfer_syntax_uid: str
    information_model_uid: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; `comment` has up to 64 characters, without anything of a patient."""

    status: Status = Status.SUCCESS
    comment: str = ""
    attributes: Attributes | None = None


class Workitems(Protocol):
    """The workitems of a node. Each call is answered when what it did is durable."""

    def create(self, uid: str, said: Attributes, caller: Caller) -> Reply:
        """N-CREATE."""
        ...

    def get(self, uid: str, tags: Sequence[str], caller: Caller) -> Reply:
        """N-GET, of all attributes where no tags are named."""
        ...

    def set(self, uid: str, said: Attributes, caller: Caller) -> Reply:
        """N-SET."""
        ...

    def act(self, uid: str, action: int, said: Attributes, caller: Caller) -> Reply:
        """N-ACTION."""
        ...

    def find(self, query: Attributes, caller: Caller, asked: Asked) -> Iterator[Attributes]:
        """C-FIND: the answers, in reading order."""
        ...

    def find_scheduled(self, query: Attributes, caller: Caller, asked: Asked) -> Iterator[Attributes]:
        """C-FIND of a Modality Worklist: the answers, in reading order."""
        ...


def uid_of(study: str, number: int) -> str:
    """The SOP Instance UID of the workitem that the node makes for a study, the `number`-th of it (Law 4)."""
    return derive_uid(UUID_ROOT, ["workitem", study, str(number)])


def standing_for(entry: EntryState) -> State:
    """The state of a workitem whose study stands so."""
    if entry is EntryState.READING:
        return State.IN_PROGRESS
    if entry is EntryState.READ:
        return State.COMPLETED
    return State.CANCELED if entry is EntryState.WITHDRAWN else State.SCHEDULED


def way(before: State, after: State) -> tuple[State, ...]:
    """The states that a workitem goes through when its study moves so that it would be in `after` (table CC.1.1-2).

    What is given back is canceled, and a new one takes its place: `renewed` says so.
    """
    if before.final or before is after:
        return ()
    if before is State.IN_PROGRESS:
        return (State.CANCELED,) if after is State.SCHEDULED else (after,)
    return (after,) if after is State.IN_PROGRESS else (State.IN_PROGRESS, after)


def renewed(states: Iterable[State], after: State) -> bool:
    """Whether a study that would stand in `after` needs a new workitem beside those of these states."""
    return not after.final and all(state.final for state in states)


def fault_in_change(state: State, held: str | None, wanted: str, transaction: str) -> Status | None:
    """Why the state cannot be changed (tables CC.1.1-2 and CC.2.1-2); None when it can.

    `held` is the Transaction UID that the workitem was claimed with, None where it was claimed by another way: then
    none is right.
    """
    if wanted not in list(State):
        return Status.INVALID_ARGUMENT
    if wanted == State.SCHEDULED:
        return Status.ONLY_BY_CREATION
    if not transaction or (state is not State.SCHEDULED and transaction != held):
        return Status.WRONG_TRANSACTION
    if state.final:
        already = {State.CANCELED: Status.ALREADY_CANCELED, State.COMPLETED: Status.ALREADY_COMPLETED}
        return already[state] if wanted == state else Status.NOT_UPDATED
    if state is State.SCHEDULED:
        return None if wanted == State.IN_PROGRESS else Status.NOT_IN_PROGRESS
    return Status.ALREADY_IN_PROGRESS if wanted == State.IN_PROGRESS else None


def fault_in_update(state: State, held: str | None, transaction: str) -> Status | None:
    """Why attributes cannot be set (CC.2.6.3, table CC.2.6-1).

    None when they can: while it is scheduled, or by who claimed it. A Transaction UID for what nobody has claimed is of
    somebody who is mistaken.
    """
    if state.final:
        return Status.NOT_UPDATED
    if state is State.SCHEDULED:
        return Status.NOT_IN_PROGRESS if transaction else None
    return None if transaction and transaction == held else Status.WRONG_TRANSACTION


# What may be wanted of us, and what we say: three words for five groups. A person's "high" is no STAT.
_SHOWN = {Group.STAT: "HIGH", Group.OVERDUE: "HIGH", Group.HIGH: "HIGH", Group.MEDIUM: "MEDIUM", Group.ARRIVAL: "LOW"}
_WISHED = {"HIGH": Priority.HIGH, "MEDIUM": Priority.ROUTINE, "LOW": Priority.ROUTINE}


def shown_priority(group: Group) -> str:
    """Scheduled Procedure Step Priority (0074,1200) of a study that stands in a group."""
    return _SHOWN[group]


def wished_priority(said: Attributes) -> Priority | None:
    """What a peer wishes for a study; None where it says nothing that is defined."""
    return _WISHED.get(first(said, "00741200").upper())


def set_priority(stands: Priority | None, wished: Priority) -> Priority:
    """What a study is given that a peer wishes something for: HIGH leaves STAT as it is, which it shows as HIGH."""
    return Priority.STAT if stands is Priority.STAT and wished is Priority.HIGH else wished
