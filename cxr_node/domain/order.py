"""What a RIS says of a study, and what a message about it is answered: values, and the rules between them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from cxr_node.domain.patient import Change, Identifier
from cxr_node.domain.priority import Priority, more_urgent


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a message (type ERL of HL7 v2.5.1): a segment, by name and number, field, repetition, component."""

    segment: str
    number: int
    field: int | None = None
    repetition: int = 1
    component: int | None = None

    def __str__(self) -> str:
        return f"{self.segment}-{self.field}" if self.field else self.segment


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a message: a code of table 0357, a sentence that names no patient, and where.

    `rejected`: a message of this kind is never taken (AR); else it is the content of this one (AE).
    """

    code: int
    sentence: str
    place: Place | None = None

    @property
    def rejected(self) -> bool:
        return self.code in (200, 201, 202, 203, 206, 207)


@dataclass(frozen=True, slots=True)
class Procedure:
    """A requested procedure as a code: value, meaning, coding scheme; without a code only the meaning is there."""

    value: str
    meaning: str
    scheme: str


class Deed(StrEnum):
    """What is to be done with a study."""

    ORDER = "order"  # it is wanted, at a priority where one is said
    CANCEL = "cancel"
    FINAL = "final"  # its report is final: it has been read
    REOPEN = "reopen"  # what was final is no more
    NOTE = "note"  # of its report, nothing that moves the worklist


@dataclass(frozen=True, slots=True)
class Said:
    """What a message says of one order. `code` is its priority as the sender writes it, `patients` whose it is.

    `changes`: that the order is another one than it was (ORC-1 XO, XX). `day`: for when it is planned. `procedure`:
    what is ordered, where that is said by a code. `truth`: whether a final report finds what the model looks for, where
    it says so by a code.
    """

    deed: Deed
    accession: str
    study_instance_uid: str
    patients: tuple[Identifier, ...] = ()
    priority: Priority | None = None
    code: str = ""
    changes: bool = False
    day: date | None = None
    procedure: Procedure | None = None
    truth: bool | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that was understood: from whom, which, and what it says of each of its orders, or of patients.

    `at`: when its sender made it (MSH-7), seconds since 1970 UTC, taken for UTC where it says no offset; None where it
    does not say.
    """

    sender: str
    control_id: str
    kind: str
    said: tuple[Said, ...]
    at: float | None = None
    changes: tuple[Change, ...] = ()


def of_patient(said: Collection[Identifier], known: Identifier | None) -> bool:
    """Whether a message may be about the patient of a study; where either says nothing, nothing speaks against it."""
    return not said or known is None or any(one.meets(known) for one in said)


def procedure_now(films: Collection[str], said: Sequence[tuple[Procedure, bool]]) -> Procedure | None:
    """What an order is for in the place of what the films say; None where it is what they say, or nobody says so.

    `films`: the codes that they came with; `said`: what messages have said of the order, the newest last, and whether
    they changed it. Messages repeat the procedure whatever they are about: it is another one only where the films say
    one, or an earlier message did.
    """
    if not any(changes for _, changes in said):
        return None
    newest = said[-1][0]
    before = {*films, *(procedure.value for procedure, _ in said[:-1] if not films)}
    return newest if newest.value not in films and before - {newest.value} else None


def ordered(stands: Priority | None, ordered_before: Priority | None, now: Priority) -> Priority:
    """The priority of a study after the RIS has said `now`.

    The RIS may take back what it said itself (`ordered_before`); what anybody else has said it can raise only.
    """
    return now if stands in (None, ordered_before) else (more_urgent(stands, now) or now)
