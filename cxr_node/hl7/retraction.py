"""A result that was told and does not stand: the same message again, with what it says taken back (HL7 v2.5.1, 7.3.1).

It names patient, order and result as the first one did, so that the receiver finds what is meant. A result that stands
under the wrong patient or order is posted as wrong (OBX-11 = W, table 0085) in a correction (OBR-25 = C, table 0123);
of one that there will not be, since its order was cancelled or its films rejected, both say X.
"""

import hashlib
from dataclasses import dataclass

from cxr_node.domain.patient import Identifier
from cxr_node.hl7.message import Message, Segment, parse
from cxr_node.hl7.outbound import NAMES, STUDY, Ours, Recipient, time_stamp

_VALUE, _FLAGS, _STATUS = 5, 8, 11
_KEPT = STUDY[0]


@dataclass(frozen=True, slots=True)
class Filed:
    """Under which patient and accession number a result was told."""

    patient: Identifier
    accession: str


def filed(told: bytes, ours: Ours, to: Recipient) -> Filed:
    """Where a result was told; without the authority that was only put in because the film names none."""
    message = parse(told, to.charset)
    pid, obr = message.first("PID"), message.first("OBR")
    assert pid is not None  # noqa: S101 - a message of ours
    assert obr is not None  # noqa: S101
    authority = pid.text(3, 4)
    number = Identifier(pid.text(3), "" if authority == ours.authority else authority)
    return Filed(number, obr.text(NAMES[to.accession]) if to.accession in NAMES else "")


def retraction_message(told: bytes, *, wrong: bool, at: float, ours: Ours, to: Recipient) -> tuple[str, bytes]:
    """ORU^R01 that takes back one that was `told`, and its control id; `at`: since when that is so (1970 UTC)."""
    message = parse(told, to.charset)
    changes = {"MSH": {7: time_stamp(at, ours), 10: ""}, "OBR": {22: time_stamp(at, ours), 25: "C" if wrong else "X"}}
    unnamed = _written(message, changes, "W" if wrong else "X")
    control_id = hashlib.sha256(to.name.encode() + b"\0" + unnamed).hexdigest()[:20]
    changes["MSH"][10] = control_id
    return control_id, _written(message, changes, "W" if wrong else "X")


def _written(message: Message, changes: dict[str, dict[int, str]], status: str) -> bytes:
    lines = []
    for segment in message.segments:
        fields = list(segment.fields)
        changed = changes.get(segment.name, {})
        if segment.name == "OBX":
            changed = {_STATUS: status} | ({} if segment.text(3) == _KEPT else {_VALUE: "", _FLAGS: ""})
        for number, text in changed.items():
            fields[number] = text
        lines.append(_line(segment, fields))
    return "".join(f"{line}\r" for line in lines).encode(message.header.code.codec)


def _line(segment: Segment, fields: list[str]) -> str:
    """MSH-1 is the separator itself."""
    separator = segment.code.separators[0]
    return separator.join([fields[0], *fields[2:]] if segment.name == "MSH" else fields)
