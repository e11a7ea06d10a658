"""What messages of the RIS say of studies: ORM^O01 and OMI^O23 (HL7 v2.5.1, 4.4.1, 4.4.6), ORU^R01 (7.3.1).

What admissions say of patients is read by `admissions`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import islice
from typing import Literal

from cxr_node.domain.order import Deed, Fault, Notice, Place, Procedure, Said
from cxr_node.domain.patient import Identifier
from cxr_node.domain.priority import Priority
from cxr_node.hl7 import admissions
from cxr_node.hl7.message import Message, Segment, Unreadable

AccessionPlace = Literal["IPC-1", "OBR-18", "OBR-3", "OBR-2"]
StatusPlace = Literal["OBR-25", "OBX-11"]

_ORDERS = ("ORM^O01", "OMI^O23")
_REPORT = "ORU^R01"
_MOST_ORDERS = 100
_CHANGES = ("XO", "XX")
_STUDY = "113014"  # Study (DCM), as an observation that names the Study Instance UID
_TIME = re.compile(r"(?P<day>[0-9]{8})(?P<clock>[0-9]{2}|[0-9]{4}|[0-9]{6})?(\.[0-9]{1,4})?(?P<offset>[+-][0-9]{4})?")
_UNWRITABLE = re.compile(r"[\x00-\x1f\\^]")
_CODE, _LOCAL = 16, "99LOCAL"  # the length of SH; what HL7 calls L (table 0396), private to DICOM (PS3.16 8)
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a site's RIS writes what it means.

    `accession`: where the accession number stands, the first place that is filled. `priorities`: by code of table 0485
    (or 0027). `cancel`: codes of ORC-1, or of ORC-5 with ORC-1 = SC. `status`: where the state of a report stands
    (tables 0123 and 0085); `final` and `reopen`: what closes a study, and what opens it again. `labels`: by code of an
    observation or a diagnosis in a final report, whether that is what the model looks for.
    """

    accession: tuple[AccessionPlace, ...]
    priorities: Mapping[str, Priority]
    cancel: frozenset[str]
    status: StatusPlace
    final: frozenset[str]
    reopen: frozenset[str]
    labels: Mapping[str, bool] = field(default_factory=dict)


@dataclass(slots=True)
class _Group:
    """The segments of one order: ORC, OBR and what follows them, and the patient whose it is."""

    patient: Segment | None
    segments: list[Segment] = field(default_factory=list)

    def first(self, name: str) -> Segment | None:
        return next((segment for segment in self.segments if segment.name == name), None)

    def text(self, name: str, number: int, component: int = 1) -> str:
        segment = self.first(name)
        return segment.text(number, component) if segment else ""


def read(message: Message, terms: Terms) -> Notice:
    """What a message says. Raises Unreadable where it is none that is served, or lacks what it must have."""
    _require_served(message)
    at = _moment(message.header.text(7))
    if message.kind in admissions.KINDS:
        return Notice(message.sender, message.control_id, message.kind, (), at, admissions.read(message))
    groups = list(islice(_groups(message), _MOST_ORDERS + 1))
    if len(groups) > _MOST_ORDERS:  # all are done in one transaction, and films wait for its end
        where = Place("ORC", _MOST_ORDERS + 1)
        raise Unreadable(Fault(102, f"a message has at most {_MOST_ORDERS} orders here", where))
    if not groups:
        raise Unreadable(Fault(100, "the message has no order: ORC and OBR are missing", Place("OBR", 1)))
    read_one = _report if message.kind == _REPORT else _order
    said = tuple(read_one(group, terms) for group in groups)
    return Notice(message.sender, message.control_id, message.kind, said, at)


def _moment(text: str) -> float | None:
    """A time stamp (TS, HL7 v2.5.1 2.A.76) down to the day at least; None for what is none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    day, clock, offset = found["day"], (found["clock"] or "").ljust(6, "0"), found["offset"] or "+0000"
    try:
        return datetime.strptime(f"{day}{clock}{offset}", "%Y%m%d%H%M%S%z").timestamp()
    except ValueError:
        return None


def _require_served(message: Message) -> None:
    msh = message.header
    if not message.control_id:
        raise Unreadable(Fault(101, "the message has no control id (MSH-10)", msh.place(10)))
    if not msh.text(12).startswith("2."):
        raise Unreadable(Fault(203, "messages of HL7 version 2 are served here (MSH-12)", msh.place(12)))
    if msh.text(11) not in ("", "P"):
        raise Unreadable(Fault(202, "only production messages are served here (MSH-11 = P)", msh.place(11)))
    served = (*_ORDERS, _REPORT, *admissions.KINDS)
    if message.kind not in served:
        known = any(kind.split("^")[0] == msh.text(9) for kind in served)
        said = f"messages of this type are not served here; served are {', '.join(served)}"
        raise Unreadable(Fault(201 if known else 200, said, msh.place(9)))


def _groups(message: Message) -> Iterator[_Group]:
    """An order begins with ORC, or with OBR where there is none or the one before has had its OBR."""
    patient: Segment | None = None
    group: _Group | None = None
    for segment in message.segments[1:]:
        if segment.name == "PID":
            if group:
                yield group
            patient, group = segment, None
        elif segment.name == "ORC" or (segment.name == "OBR" and (group is None or group.first("OBR"))):
            if group:
                yield group
            group = _Group(patient, [segment])
        elif group:
            group.segments.append(segment)
    if group:
        yield group


def _order(group: _Group, terms: Terms) -> Said:
    orc = group.first("ORC")
    if orc is None or not orc.text(1):
        raise Unreadable(Fault(101, "an order has no order control code (ORC-1)", Place("ORC", 1, 1)))
    control = orc.text(5) if orc.text(1) == "SC" and orc.text(5) in terms.cancel else orc.text(1)
    if control in terms.cancel:
        return _said(Deed.CANCEL, group, terms)
    code, place = _priority(group)
    if code and code not in terms.priorities:
        said = f"the priority {code[:20]!r} is not in the table hl7.priorities of this node"
        raise Unreadable(Fault(103, said, place))
    wanted = _said(Deed.ORDER, group, terms, code)
    return replace(wanted, changes=control in _CHANGES, day=_day(group), procedure=_procedure(group))


def _report(group: _Group, terms: Terms) -> Said:
    if group.first("OBR") is None:
        raise Unreadable(Fault(101, "a report has no OBR", Place("OBR", 1)))
    if terms.status == "OBR-25":
        states = {group.text("OBR", 25)}
    else:
        states = {segment.text(11) for segment in group.segments if segment.name == "OBX"}
    states.discard("")
    if states & terms.reopen:
        return _said(Deed.REOPEN, group, terms)
    if not states or not states <= terms.final:
        return _said(Deed.NOTE, group, terms)
    return replace(_said(Deed.FINAL, group, terms), truth=_truth(group, terms))


def _truth(group: _Group, terms: Terms) -> bool | None:
    """What the codes of a final report say (OBX-5, DG1-3): one that is positive goes before others."""
    codes = [
        segment.text(number, repetition=each)
        for segment in group.segments
        for number in ({"OBX": 5, "DG1": 3}.get(segment.name, 0),)
        if number
        for each in segment.repetitions(number)
    ]
    said = {terms.labels[code] for code in codes if code in terms.labels}
    return None if not said else True in said


def _said(deed: Deed, group: _Group, terms: Terms, code: str = "") -> Said:
    accession = next(filter(None, (_at(group, place) for place in terms.accession)), "")
    study = _study(group)
    if not accession and not study:
        places = ", ".join(terms.accession)
        said = f"neither an accession number ({places}) nor a Study Instance UID (IPC-3, ZDS-1) is there"
        first = Place(terms.accession[0][:3], 1, int(terms.accession[0][4:]))
        raise Unreadable(Fault(101, said, first))
    priority = terms.priorities.get(code)
    return Said(deed, accession, study, _patients(group.patient), priority, code if priority else "")


def _at(group: _Group, place: str) -> str:
    name, _, number = place.partition("-")
    return group.text(name, int(number))


def _priority(group: _Group) -> tuple[str, Place]:
    """The code of the priority, and where it stands: TQ1-9, or as versions before 2.5 have it."""
    for name, number, component in (("TQ1", 9, 1), ("OBR", 27, 6), ("ORC", 7, 6), ("OBR", 5, 1)):
        if code := group.text(name, number, component).upper():
            return code, Place(name, 1, number, component=component)
    return "", Place("TQ1", 1, 9)


def _day(group: _Group) -> date | None:
    """For when the order is planned: TQ1-7, or as versions before 2.5 have it; else OBR-36."""
    for name, number, component in (("TQ1", 7, 1), ("OBR", 27, 4), ("ORC", 7, 4), ("OBR", 36, 1)):
        text = group.text(name, number, component)
        if _moment(text) is not None:
            return date.fromisoformat(text[:8])
    return None


def _procedure(group: _Group) -> Procedure | None:
    """What is ordered (OBR-4), in values that a DICOM code may have (PS3.3 8.8); a local code becomes a private one."""
    value, meaning, scheme = (_UNWRITABLE.sub(" ", group.text("OBR", 4, part)).strip() for part in (1, 2, 3))
    if not value or len(value) > _CODE or len(scheme) > _CODE:
        return None
    return Procedure(value, (meaning or value)[:64], _LOCAL if scheme in ("", "L") else scheme)


def _study(group: _Group) -> str:
    """The Study Instance UID: IPC-3, ZDS-1 (IHE RAD), or an observation of that name."""
    found = [group.text("IPC", 3), group.text("ZDS", 1)]
    for segment in group.segments:
        if segment.name == "OBX" and segment.text(3) == _STUDY:
            found += [segment.text(5), segment.text(5, 2)]
    return next((text for text in found if _UID.fullmatch(text) and len(text) <= 64), "")


def _patients(pid: Segment | None) -> tuple[Identifier, ...]:
    """PID-3: every identifier of the patient with its assigning authority."""
    if pid is None:
        return ()
    found = (Identifier(pid.text(3, repetition=each), pid.text(3, 4, repetition=each)) for each in pid.repetitions(3))
    return tuple(one for one in found if one.value)
