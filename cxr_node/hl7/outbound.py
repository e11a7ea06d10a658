"""Messages to the RIS: ORU^R01 with a result of our own (HL7 v2.5.1, 7.3.1), OMI^O23 and ORM^O01 with a priority (4.4).

A result is an observation with its own OBR: its own code in OBR-4 and its own filler number in OBR-3, never those of
the examination, since many a RIS files a preliminary result (OBR-25 = P) as the report of the order that it names.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Literal

from cxr_node.domain.clock import moment
from cxr_node.domain.finding import Tier
from cxr_node.errors import Ineligible, Permanent
from cxr_node.hl7.inbound import AccessionPlace
from cxr_node.hl7.message import Value, build
from cxr_node.imaging.request import Name, Requested
from cxr_node.message import Message

Kind = Literal["ORU", "OMI", "ORM"]
Coded = tuple[str, str, str]
"""Identifier, text and coding system (CWE.1 to 3)."""

KINDS: Mapping[Kind, str] = {"ORU": "ORU^R01", "OMI": "OMI^O23", "ORM": "ORM^O01"}
_STRUCTURES = {"ORU": "ORU_R01", "OMI": "OMI_O23", "ORM": "ORM_O01"}
_RESULT: Coded = ("AI-CXR", "AI result of a chest radiograph", "L")
STUDY: Coded = ("113014", "Study", "DCM")
_WRITINGS = "AIP"  # table 0465: alphabetic, ideographic, phonetic
NAMES: Mapping[str, int] = {"OBR-2": 2, "OBR-3": 3, "OBR-18": 18}
"""By where the accession number may stand in OBR: the number of the field."""
_Segment = tuple[str, dict[int, Value]]


@dataclass(frozen=True, slots=True)
class Ours:
    """Who sends: application and facility (MSH-3, MSH-4), and the site's time zone.

    `authority` is the assigning authority of patients whose films name none.
    """

    application: str
    facility: str
    authority: str
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Recipient:
    """How a RIS takes messages; as the keys of [[worklist.hl7]] say."""

    name: str
    message: Kind
    application: str
    facility: str
    charset: str
    accession: AccessionPlace
    order_control: str
    priorities: Mapping[Tier, str]

    @property
    def kind(self) -> str:
        return KINDS[self.message]


@dataclass(frozen=True, slots=True)
class Result:
    """One revision of a study's result. `observed_at` in seconds since 1970 UTC: a stored fact.

    `measure` says what `percent` is: a probability, or how certain the model is; `threshold` in percent, too. `finding`
    is None below it. `category` is the triage category, with the tier as its alternate; `abnormal` is of table 0078.
    """

    observed_at: float
    measure: Coded
    percent: str
    threshold: str
    finding: Coded | None
    category: tuple[str, ...]
    abnormal: str
    model: str
    device: tuple[str, str]
    remark: str


def result_message(
    result: Result, requested: Requested, ours: Ours, to: Recipient, again: float | None = None
) -> tuple[str, bytes]:
    """ORU^R01 and its control id; `again`: since when it stands again that was taken back (seconds since 1970 UTC).

    Raises Ineligible("NO_PATIENT_ID"), Permanent("CHARSET").
    """
    at = time_stamp(result.observed_at, ours)
    obr: dict[int, Value] = {
        1: "1", 3: (_filler(requested), ours.application), 4: _RESULT, 7: at, 22: at, 25: "P",
    }  # fmt: skip
    obr[NAMES[to.accession]] = requested.accession
    observations: list[dict[int, Value]] = [
        {2: "NM", 3: result.measure, 5: result.percent, 6: ("%", "percent", "UCUM"), 7: f"<{result.threshold}"}
    ]
    if result.finding:
        observations.append({2: "CWE", 3: ("121071", "Finding", "DCM"), 5: result.finding})
    observations.append({2: "CWE", 3: ("260870009", "Priority", "SCT"), 5: result.category})
    observations.append({2: "ST", 3: STUDY, 5: requested.study_instance_uid})
    segments: list[_Segment] = [_pid(requested, ours), ("OBR", obr), ("NTE", {1: "1", 2: "L", 3: result.remark})]
    for number, each in enumerate(observations, 1):
        flag = "" if each[3] == STUDY else result.abnormal
        common: dict[int, Value] = {
            1: str(number), 8: flag, 11: "P", 14: at, 17: (result.model, result.model, "L"), 18: result.device,
        }  # fmt: skip
        segments.append(("OBX", common | each))
    return _sealed(segments, result.observed_at if again is None else again, ours, to)


def priority_message(tier: Tier, requested: Requested, at: float, ours: Ours, to: Recipient) -> tuple[str, bytes]:
    """OMI^O23 or ORM^O01 that asks for the priority of a tier, and its control id.

    `at` is when that was concluded. Raises Ineligible("NO_PATIENT_ID", "ORDER_INCOMPLETE"), Permanent("CHARSET").
    """
    code = to.priorities[tier]
    numbers: dict[int, Value] = {2: requested.placer, 3: requested.filler}
    obr = numbers | {1: "1", 4: _procedure(requested)}
    if to.accession in NAMES:
        obr[NAMES[to.accession]] = requested.accession
    numbers |= {place: obr[place] for place in (2, 3)}
    _require(requested, to)
    orc: dict[int, Value] = {1: to.order_control, **numbers, 9: time_stamp(at, ours)}
    if to.message == "ORM":
        timing = ("", "", "", "", "", code)
        segments: list[_Segment] = [("ORC", orc | {7: timing}), ("OBR", obr | {27: timing})]
    else:
        ids: dict[int, Value] = {
            1: requested.accession, 2: requested.procedure_id, 3: requested.study_instance_uid, 4: requested.step_id,
            5: (requested.modality, "", "DCM"),
        }  # fmt: skip
        segments = [("ORC", orc), ("TQ1", {1: "1", 9: (code, "", "HL70485")}), ("OBR", obr), ("IPC", ids)]
    return _sealed([_pid(requested, ours), *segments], at, ours, to)


def _require(requested: Requested, to: Recipient) -> None:
    """OMI^O23 names all four identifiers (4.5.6); ORM^O01 must at least say which order it means."""
    wanted = {"Accession Number (0008,0050)": requested.accession}
    if to.message == "OMI":
        wanted |= {
            "Requested Procedure ID (0040,1001)": requested.procedure_id,
            "Scheduled Procedure Step ID (0040,0009)": requested.step_id,
        }
    if missing := [name for name, value in wanted.items() if not value]:
        raise Ineligible(
            "ORDER_INCOMPLETE",
            Message("the film does not say which order it belongs to: no {missing}", missing=", ".join(missing)),
        )


def _sealed(segments: list[_Segment], at: float, ours: Ours, to: Recipient) -> tuple[str, bytes]:
    """The message with its header. The control id follows from all that it says, so that it is the same each time."""
    header: dict[int, Value] = {
        3: ours.application, 4: ours.facility, 5: to.application, 6: to.facility, 7: time_stamp(at, ours),
        9: (*KINDS[to.message].split("^"), _STRUCTURES[to.message]), 11: "P", 12: "2.5.1",
    }  # fmt: skip
    try:
        unnamed = build([("MSH", header), *segments], to.charset)
        control_id = hashlib.sha256(to.name.encode() + b"\0" + unnamed).hexdigest()[:20]
        return control_id, build([("MSH", header | {10: control_id}), *segments], to.charset)
    except UnicodeEncodeError as error:
        raise Permanent(
            "CHARSET",
            Message(
                "the film's texts cannot be said in {charset}; set charset to UNICODE UTF-8 for the [[worklist.hl7]] "
                "{name}, if it takes that",
                charset=to.charset,
                name=to.name,
            ),
        ) from error


def _pid(requested: Requested, ours: Ours) -> _Segment:
    if not requested.patient_id:
        raise Ineligible("NO_PATIENT_ID", Message("the film has no Patient ID (0010,0020), and PID-3 must have one"))
    oid = requested.issuer_oid
    authority = (requested.issuer or ours.authority, oid, "ISO" if oid else "")
    names: list[Value] = [_name(name, writing) for name, writing in zip(requested.names, _WRITINGS, strict=False)]
    return "PID", {
        1: "1",
        3: [(requested.patient_id, "", "", authority, "MR")],
        5: [name for name in names if name],
        7: requested.birth_date,
        8: requested.sex,
    }


def _name(name: Name, writing: str) -> Value:
    """XPN; DICOM has the prefix before the suffix, HL7 after it."""
    parts = (name.family, name.given, name.middle, name.suffix, name.prefix)
    return (*parts, "", "L", writing) if any(parts) else ""


def _procedure(requested: Requested) -> Value:
    procedure = requested.procedure
    return (procedure.value, procedure.meaning, procedure.scheme)


def _filler(requested: Requested) -> str:
    """Our own number for the result of a study: the same in each revision, so that a later one takes its place."""
    return f"AI{hashlib.sha256(requested.study_instance_uid.encode()).hexdigest()[:16]}"


def time_stamp(at: float, ours: Ours) -> str:
    """A time as the node writes it (TS, HL7 v2.5.1 2.A.76), in the site's zone; `at` in seconds since 1970 UTC."""
    return moment(at).astimezone(ours.zone).strftime("%Y%m%d%H%M%S%z")
