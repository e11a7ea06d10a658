"""What admissions say of patients: ADT^A08 (update), A40 (merge), A47 (another identifier); HL7 v2.5.1 3.3."""

import re
from collections.abc import Iterator
from itertools import islice

from cxr_node.domain.order import Fault, Place
from cxr_node.domain.patient import Change, Identifier, Person
from cxr_node.hl7.message import Message, Segment, Unreadable

KINDS = ("ADT^A08", "ADT^A40", "ADT^A47")
_MOST_PATIENTS = 100
_UPDATE = "ADT^A08"
_SEXES = {"F": "F", "M": "M", "O": "O", "A": "O"}
"""Table 0001 as Patient's Sex (0010,0040); what is unknown or not applicable says nothing."""
_RESERVED = re.compile(r"[\x00-\x1f\\^=]")  # what a component of a PN may not have (PS3.5 6.2)


def read(message: Message) -> tuple[Change, ...]:
    """The patients of a message, each as they are now, and what they were before where that is another identifier.

    When it was said is the message's to say (`Notice.at`).

    Raises Unreadable where an identifier is missing that there must be.
    """
    found = tuple(islice(_changes(message), _MOST_PATIENTS + 1))
    if len(found) > _MOST_PATIENTS:  # all are done in one transaction, and films wait for its end
        where = Place("PID", _MOST_PATIENTS + 1)
        raise Unreadable(Fault(102, f"a message has at most {_MOST_PATIENTS} patients here", where))
    if not found:
        raise Unreadable(Fault(100, "the message names no patient: PID is missing", Place("PID", 1)))
    return found


def _changes(message: Message) -> Iterator[Change]:
    """One for each PID; of a merge, with the MRG that follows it."""
    patient: Segment | None = None
    for segment in message.segments[1:]:
        if segment.name == "PID":
            if message.kind == _UPDATE:
                yield Change(_person(segment))
            patient = segment
        elif segment.name == "MRG" and patient is not None and message.kind != _UPDATE:
            yield Change(_person(patient), _identifiers(segment, 1, "a prior identifier (MRG-1)"))
            patient = None
    if patient is not None and message.kind != _UPDATE:
        raise Unreadable(Fault(100, "MRG is missing: it says which patient it was before", Place("MRG", 1)))


def _person(pid: Segment) -> Person:
    family, given, middle, suffix, prefix = (_RESERVED.sub(" ", pid.text(5, part)).strip() for part in range(1, 6))
    birth_date = pid.text(7)[:8]
    return Person(
        identifiers=_identifiers(pid, 3, "an identifier of the patient (PID-3)"),
        name="^".join((family, given, middle, prefix, suffix)).rstrip("^")[:194],
        birth_date=birth_date if re.fullmatch("[0-9]{8}", birth_date) else "",
        sex=_SEXES.get(pid.text(8).upper(), ""),
    )


def _identifiers(segment: Segment, field: int, what: str) -> tuple[Identifier, ...]:
    found = (
        Identifier(segment.text(field, repetition=each)[:64], segment.text(field, 4, repetition=each)[:64])
        for each in segment.repetitions(field)
    )
    if known := tuple(one for one in found if one.value):
        return known
    raise Unreadable(Fault(101, f"{what} is missing", segment.place(field)))
