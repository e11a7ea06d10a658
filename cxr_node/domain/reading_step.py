"""What a workitem says of the reading of a study, as attributes (PS3.3 C.30, PS3.4 table CC.2.5-3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from typing import Final

from cxr_node.domain.clock import moment
from cxr_node.domain.dicom_json import Attributes, code, element, first, sequence
from cxr_node.domain.priority import Group
from cxr_node.domain.workitem import State, shown_priority

PUSH: Final = "1.2.840.10008.5.1.4.34.6.1"
"""Of this SOP class is every workitem, whichever one it is spoken of in (PS3.4 CC.3.1)."""

LABEL: Final = "Interpretation of chest radiograph"
_INTERPRETATION: Final = ("110005", "DCM", "Interpretation")  # PS3.16 CID 9231
_EMPTY: Final = {  # type 2 in table CC.2.5-3: there, without a value
    "00741210": "SQ", "00404025": "SQ", "00404026": "SQ", "00404027": "SQ", "00400400": "LT", "00741002": "SQ",
    "00741216": "SQ", "00380010": "LO", "00380014": "SQ", "00081080": "LO", "00081084": "SQ", "00404034": "SQ",
    "00101002": "SQ", "00100024": "SQ",
}  # fmt: skip
_IN_REQUEST: Final = {"00080051": "SQ", "00402016": "LO", "00400026": "SQ", "00402017": "LO", "00400027": "SQ",
                      "00401001": "SH", "00321060": "LO", "00321064": "SQ"}  # fmt: skip
SETTABLE: Final = frozenset(
    {
        "00400400", "00404005", "00404010", "00404011", "00404025", "00404026", "00404027", "00404034", "00741002",
        "00741200", "00741202", "00741204", "00741210", "00741216", "00404041", "00404033",
    }
)  # fmt: skip
"""What peers may say of a workitem that the node made; the study itself says whose it is, and what belongs to it."""
_OURS: Final = frozenset({"00741200", "00741202", "00404005", "00741204", "00404041", "00404010"})
"""Of those, what the node says of a study that it has: a wish for a priority is done, not kept."""


@dataclass(frozen=True, slots=True)
class Patient:
    """Whose study it is; empty where it is not known. `birth_date` as DA."""

    identifier: str
    issuer: str
    name: str = ""
    birth_date: str = ""
    sex: str = ""


@dataclass(frozen=True, slots=True)
class Film:
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Rank:
    """Where a workitem stands in the reading order, from 1, and why; `now` in seconds since 1970 UTC."""

    position: int
    group: Group
    now: float

    @property
    def start(self) -> str:
        """Scheduled Procedure Step Start DateTime: so many seconds into the day; who sorts by it sorts right."""
        midnight = datetime.combine(moment(self.now).date(), time(), UTC)
        return f"{midnight + timedelta(seconds=self.position):%Y%m%d%H%M%S}+0000"

    @property
    def label(self) -> str:
        """Worklist Label: sorts as the reading order does, too."""
        return f"{self.position:05} {shown_priority(self.group)}"


@dataclass(frozen=True, slots=True)
class Step:
    """A workitem as values. `listed`: it is about a study of the worklist. `rank`: None for one that is closed.

    `said` is what peers said of it; `archive` the AE title of which the films can be had, where there is one.
    """

    uid: str
    state: State
    study: str
    accession: str
    patient: Patient
    readiness: str
    received_at: float
    changed_at: float
    created_by_peer: bool
    listed: bool
    films: Sequence[Film]
    said: Attributes
    rank: Rank | None = None
    archive: str = ""


def describe(step: Step) -> Attributes:
    """All attributes of a workitem, without its Transaction UID, which nobody is told (PS3.4 CC.2.7.3)."""
    empty = {tag: {"vr": vr} for tag, vr in _EMPTY.items()}
    said = {tag: found for tag, found in step.said.items() if not step.listed or tag not in _OURS}
    rest = _study(step) if step.listed else _labelled(step)
    return empty | said | _identity(step) | rest


def _identity(step: Step) -> Attributes:
    changed = f"{moment(step.changed_at):%Y%m%d%H%M%S}+0000"
    return {
        "00080005": element("CS", "ISO_IR 192"),
        "00080016": element("UI", PUSH),
        "00080018": element("UI", step.uid),
        "00741000": element("CS", step.state),
        "00404010": element("DT", changed),
        "00404041": element("CS", step.readiness),
    }


def _study(step: Step) -> Attributes:
    """What the worklist knows of the study; a peer names its own workitem."""
    patient = step.patient
    name = {"Alphabetic": patient.name} if patient.name else None
    known = {
        "00404018": sequence(code(*_INTERPRETATION)),
        "0020000D": element("UI", step.study),
        "00404021": sequence(*_inputs(step)),
        "0040A370": sequence(_request(step)),
        "00100010": element("PN", name),
        "00100020": element("LO", patient.identifier),
        "00100021": element("LO", patient.issuer),
        "00100030": element("DA", patient.birth_date),
        "00100040": element("CS", patient.sex),
    }
    named = step.said.get("00741204") if step.created_by_peer else None
    return known | {"00741204": named or element("LO", LABEL)} | _ranked(step)


def _labelled(step: Step) -> Attributes:
    """A peer may leave the label of its workitem to the node (type 2/1)."""
    return {} if first(step.said, "00741202") else {"00741202": _ranked(step)["00741202"]}


def _ranked(step: Step) -> Attributes:
    """What is closed has no rank; it began when its study came."""
    rank = step.rank
    if rank is None:
        came = f"{moment(step.received_at):%Y%m%d%H%M%S}+0000"
        return {
            "00741200": element("CS", "LOW"),
            "00741202": element("LO", step.state),
            "00404005": element("DT", came),
        }
    return {
        "00741200": element("CS", shown_priority(rank.group)),
        "00741202": element("LO", rank.label),
        "00404005": element("DT", rank.start),
    }


def _request(step: Step) -> Attributes:
    empty = {tag: {"vr": vr} for tag, vr in _IN_REQUEST.items()}
    return empty | {"0020000D": element("UI", step.study), "00080050": element("SH", step.accession)}


def _inputs(step: Step) -> Sequence[Attributes]:
    """The films, an item a series (PS3.3 table 10-3b)."""
    ordered = sorted(step.films, key=lambda film: film.series_instance_uid)
    where = sequence({"00080054": element("AE", step.archive)}) if step.archive else {"vr": "SQ"}
    return [
        {
            "0020000D": element("UI", step.study),
            "0020000E": element("UI", series),
            "0040E020": element("CS", "DICOM"),
            "0040E021": where,
            "00081199": sequence(*(_reference(film) for film in films)),
        }
        for series, films in groupby(ordered, key=lambda film: film.series_instance_uid)
    ]


def _reference(film: Film) -> Attributes:
    return {"00081150": element("UI", film.sop_class_uid), "00081155": element("UI", film.sop_instance_uid)}
