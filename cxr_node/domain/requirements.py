"""What must be said of a workitem, and by whom (PS3.4 table CC.2.5-3, with the types of 5.4.2.1).

Of attributes within sequences only those of the performance are looked at; what else is in an item is kept as it came.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cxr_node.domain.clock import moment
from cxr_node.domain.dicom_json import Attributes, code, element, items, sequence, values
from cxr_node.domain.workitem import State, Status

_STATE, _PROGRESS, _PERFORMED = "00741000", "00741002", "00741216"
VALUED: Final = (_STATE, "00741200", "00741204", "00404005", "00404041")
"""What an N-CREATE must have, with a value (type 1)."""
PRESENT: Final = (
    "00081195", "00741202", "00741210", "00404025", "00404026", "00404027", "00404018", "00400400", "00404021",
    "00100010", "00100021", "00100024", "00101002", "00100030", "00100040", "00380010", "00380014", "00081080",
    "00081084", "0040A370", _PROGRESS, _PERFORMED,
)  # fmt: skip
"""What it must have, be it empty (type 2)."""
_NEVER_EMPTIED: Final = (  # N-SET: type 3/1
    "00741200", "00741204", "00741202", "00404005", "00404011", "00404018", "00400400", "00404041",
)  # fmt: skip
IDENTIFYING: Final = frozenset(
    {
        "00100010", "00100020", "00100021", "00100024", "00100030", "00100040", "00380010", "00380014", "00081080",
        "00081084", "0040A370", "00741224",
    }
)  # fmt: skip
"""What no N-SET may change, whoever created the workitem: whose it is, and what was requested."""
CREATED_EMPTY: Final = frozenset({"00081195", _PROGRESS, _PERFORMED})
"""What an N-CREATE may not fill: nobody has begun."""

_ENDED: Final = ("00404050", "00404051", "00404028", "00404019")  # start, end, station, workitem: final state "P"
_OUTPUT: Final = "00404033"  # "P" too, but without items where nothing was made
_CANCELED_AT, _WHY = "00404052", "0074100E"
_UNSPECIFIED: Final = ("110513", "DCM", "Discontinued for unspecified reason")  # PS3.16 CID 9300
_INTERPRETATION: Final = ("110005", "DCM", "Interpretation")
_STATION: Final = ("NODE", "99CXR_NODE", "cxr_node")
_NO_NAME: Final = str.maketrans("^=\\", "   ")


def fault_in_creation(said: Mapping[str, Any]) -> tuple[Status, str] | None:
    """The first attribute that an N-CREATE should have, or have with a value, and why it is none."""
    for tag in (*VALUED, *PRESENT):
        if tag not in said:
            return Status.MISSING_ATTRIBUTE, tag
        if tag in VALUED and not has_value(said, tag):
            return Status.MISSING_VALUE, tag
    return None


def emptied(said: Mapping[str, Any]) -> str | None:
    """The first attribute that an N-SET would leave without the value that it must have."""
    return next((tag for tag in _NEVER_EMPTIED if tag in said and not has_value(said, tag)), None)


def lacking(said: Mapping[str, Any]) -> str | None:
    """What of the performance is still to be said before COMPLETED; None where all is."""
    performed = items(said, _PERFORMED)
    if not performed:
        return _PERFORMED
    missing = (tag for tag in _ENDED if not has_value(performed[0], tag))
    return next(missing, None if _OUTPUT in performed[0] else _OUTPUT)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a workitem ends: seconds since 1970 UTC of its beginning and its end, and who performed it, where known."""

    began: float
    ended: float
    performer: str = ""


def at_its_end(said: Attributes, state: State, ending: Ending) -> Attributes:
    """The same with what a final state requires and nobody has said, as far as the node knows it."""
    if state is State.CANCELED:
        stood = next(iter(items(said, _PROGRESS)), {})
        known = {_CANCELED_AT: _date_time(ending.ended), _WHY: sequence(code(*_UNSPECIFIED))}
        return said | {_PROGRESS: sequence(_filled(stood, known))}
    if state is State.COMPLETED:
        stood = next(iter(items(said, _PERFORMED)), {})
        return said | {_PERFORMED: sequence(_filled(stood, dict(_performance(ending))))}
    return said


def has_value(attributes: Mapping[str, Any], tag: str) -> bool:
    return any(value not in ("", None) for value in values(attributes, tag))


def _performance(ending: Ending) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "00404050", _date_time(ending.began)
    yield "00404051", _date_time(ending.ended)
    yield "00404028", sequence(code(*_STATION))
    yield "00404019", sequence(code(*_INTERPRETATION))
    yield _OUTPUT, {"vr": "SQ"}
    if ending.performer:
        name = {"Alphabetic": ending.performer.translate(_NO_NAME)[:64]}
        yield "00404035", sequence({"00404037": element("PN", name)})


def _filled(stood: Attributes, known: Attributes) -> Attributes:
    return stood | {tag: found for tag, found in known.items() if not has_value(stood, tag)}


def _date_time(seconds: float) -> dict[str, Any]:
    return element("DT", f"{moment(seconds):%Y%m%d%H%M%S}+0000")
