"""What a node and a hub tell each other of a study: attributes of a workitem (PS3.4 annex CC).

Whose it is and what is wanted stands where the standard has it. What the standard has no place for, and the reading
order needs to the letter, stands in the Scheduled Processing Parameters (0074,1210): a text item for each column of the
list, one for what the site has decided itself, and one for what a person at the hub asks of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any, Final

from cxr_node.domain.clock import moment
from cxr_node.domain.dicom_json import Attributes, code, element, first, items, sequence
from cxr_node.domain.finding import Tier
from cxr_node.domain.priority import Priority
from cxr_node.domain.requirements import PRESENT
from cxr_node.domain.study import EntryState

SCHEME: Final = "99CXR_NODE"
_PARAMETERS: Final = "00741210"
_TEXTS: Final = ("accession_number", "patient_id", "issuer_of_patient_id", "finding", "reason", "reader")
_NUMBERS: Final = ("received_at", "probability", "threshold", "state_since")
_WORDS: Final = {"state": EntryState, "tier": Tier, "priority": Priority}
COLUMNS: Final = (*_WORDS, *_TEXTS, *_NUMBERS, "positive")
"""Of the worklist, what a site says of its study."""
ASKED: Final = "asked"
"""The item that says what is asked of a site; a site finds what it is asked by its code."""
_DECIDED: Final = "decided"
_NEVER_EMPTY: Final = ("state", "tier", "received_at", "positive")
_LONGEST: Final = 1024
_SHORT: Final = 64  # of a UID, and of the name of a person
_WANTED: Final = {Priority.STAT: "HIGH", Priority.HIGH: "HIGH", Priority.ROUTINE: "MEDIUM"}
_VR: Final = {
    "00081195": "UI", "00741202": "LO", "00404018": "SQ", "00400400": "LT", "00100010": "PN", "00100021": "LO",
    "00100030": "DA", "00100040": "CS", "00380010": "LO", "00081080": "LO",
}  # fmt: skip


class Outcome(StrEnum):
    """What became of a priority that was asked for."""

    GIVEN = "given"
    DECIDED = "decided"  # the site had decided otherwise, which the hub did not know yet
    CLOSED = "closed"  # the study had left the list


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person at a hub asks for a study of a site: a priority, or (None) that none of a person counts.

    `at` in seconds since 1970 UTC by the hub's clock. `over`: the number of the site's last decision that the hub knew.
    """

    uid: str
    priority: Priority | None
    by: str
    at: float
    over: int


@dataclass(frozen=True, slots=True)
class Decided:
    """What a site has decided of a study's priority itself: the number of its last decision, which grows; 0: of none.

    And what it answered to what was `asked` of it last, by the UID of that.
    """

    number: int = 0
    asked: str = ""
    outcome: Outcome | None = None


def offered(study: str, entry: Mapping[str, Any], decided: Decided) -> Attributes:
    """The attributes of an N-CREATE (table CC.2.5-3) for a study as it stands in the list of its site."""
    empty = {tag: {"vr": _VR.get(tag, "SQ")} for tag in PRESENT}
    wanted = Priority(entry["priority"]) if entry["priority"] else None
    urgent = "HIGH" if entry["tier"] == Tier.HIGH else "MEDIUM" if entry["tier"] == Tier.MEDIUM else "LOW"
    known = {
        "00741000": element("CS", "SCHEDULED"),
        "00741200": element("CS", _WANTED[wanted] if wanted else urgent),
        "00741204": element("LO", "Interpretation of chest radiograph"),
        "00404005": element("DT", f"{moment(entry['received_at']):%Y%m%d%H%M%S}+0000"),
        "00404041": element("CS", "INCOMPLETE" if entry["state"] == EntryState.HELD else "READY"),
        "0020000D": element("UI", study),
        "00100020": element("LO", entry["patient_id"]),
        "00100021": element("LO", entry["issuer_of_patient_id"]),
        "0040A370": sequence({"0020000D": element("UI", study), "00080050": element("SH", entry["accession_number"])}),
    }
    told = _item(_DECIDED, [decided.number, decided.asked, decided.outcome])
    return empty | known | {_PARAMETERS: sequence(*(_item(name, entry[name]) for name in COLUMNS), told)}


def changed(study: str, entry: Mapping[str, Any], decided: Decided) -> Attributes:
    """What an N-SET says of it later: what may be set at all, without its state."""
    kept = ("00741200", "00404005", "00404041", _PARAMETERS)
    said = offered(study, entry, decided)
    return {tag: said[tag] for tag in kept}


def read(said: Attributes) -> dict[str, Any]:
    """The columns of the list that a site says of a study; None for what it does not say.

    Raises:
        ValueError: one has no place in a list, or is not what it should be; what it was is not quoted.
    """
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    for name, text in _texts(said).items():
        if name in found:
            found[name] = _value(name, text)
    for name in _NEVER_EMPTY:
        if found[name] is None:
            raise ValueError(f"{name} is missing")
    return found


def decided(said: Attributes) -> Decided:
    """What a site says that it has decided itself; nothing where it does not say. Raises ValueError as `read`."""
    text = _texts(said).get(_DECIDED)
    if text is None:
        return Decided()
    try:
        number, asked, outcome = json.loads(text)
        found = Decided(_whole(number), _short(asked), None if outcome is None else Outcome(outcome))
    except (TypeError, ValueError):
        raise ValueError(f"{_DECIDED} is not what it should be") from None
    return found


def asking(asked: Asked) -> Attributes:
    """The item by which a hub says what is asked."""
    return _item(ASKED, [asked.uid, asked.priority, asked.by, asked.at, asked.over])


def with_asked(said: Attributes, asked: Asked) -> Attributes:
    """What is said of a workitem, and what is asked for its study."""
    return said | {_PARAMETERS: sequence(*items(said, _PARAMETERS), asking(asked))}


def asked(said: Attributes) -> Asked | None:
    """What is asked for the study of a workitem; None for nothing. Raises ValueError as `read`."""
    text = _texts(said).get(ASKED)
    if text is None:
        return None
    try:
        uid, priority, by, at, over = json.loads(text)
        wanted = None if priority is None else Priority(priority)
        found = Asked(_short(uid), wanted, _short(by), float(at), _whole(over))
    except (TypeError, ValueError):
        raise ValueError(f"{ASKED} is not what it should be") from None
    if not (found.uid and found.by and isfinite(found.at)):
        raise ValueError(f"{ASKED} is not what it should be")
    return found


def _texts(said: Attributes) -> dict[str, str]:
    """Our items, by name."""
    found = {}
    for item in items(said, _PARAMETERS):
        (concept, *_) = items(item, "0040A043") or ({},)
        if first(concept, "00080102") == SCHEME:
            found[first(concept, "00080100")] = first(item, "0040A160")
    return found


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("no number")
    return value


def _short(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _SHORT or not value.isprintable():
        raise ValueError("no name")
    return value


def _item(name: str, value: Any) -> Attributes:
    """A content item (PS3.3 table 10-2): its name, and its value as JSON."""
    return {
        "0040A040": element("CS", "TEXT"),
        "0040A043": sequence(code(name, SCHEME, name.replace("_", " "))),
        "0040A160": element("UT", json.dumps(value)),
    }


def _value(name: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueError(f"{name} is no JSON") from None
    if value is None:
        return None
    if name in _NUMBERS:
        good = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        good = good and (name in ("received_at", "state_since") or 0 <= value <= 1)
    elif name == "positive":
        good = value in (0, 1)
    else:
        good = isinstance(value, str) and len(value) <= _LONGEST
        good = good and (name not in _WORDS or value in list(_WORDS[name]))
    if not good:
        raise ValueError(f"{name} is not what it should be")
    return value
