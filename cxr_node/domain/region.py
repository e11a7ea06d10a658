"""What a node tells a hub of a study, and what the hub reads of it: attributes of a workitem (PS3.4 annex CC).

Whose it is and what is wanted stands where the standard has it. What the standard has no place for, and the reading
order needs to the letter, stands in the Scheduled Processing Parameters (0074,1210): a text item for each column of the
list.
"""

import json
from collections.abc import Mapping
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
_NEVER_EMPTY: Final = ("state", "tier", "received_at", "positive")
_LONGEST: Final = 1024
_WANTED: Final = {Priority.STAT: "HIGH", Priority.HIGH: "HIGH", Priority.ROUTINE: "MEDIUM"}
_VR: Final = {
    "00081195": "UI", "00741202": "LO", "00404018": "SQ", "00400400": "LT", "00100010": "PN", "00100021": "LO",
    "00100030": "DA", "00100040": "CS", "00380010": "LO", "00081080": "LO",
}  # fmt: skip


def offered(study: str, entry: Mapping[str, Any]) -> Attributes:
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
    return empty | known | {_PARAMETERS: sequence(*(_item(name, entry[name]) for name in COLUMNS))}


def changed(study: str, entry: Mapping[str, Any]) -> Attributes:
    """What an N-SET says of it later: what may be set at all, without its state."""
    kept = ("00741200", "00404005", "00404041", _PARAMETERS)
    said = offered(study, entry)
    return {tag: said[tag] for tag in kept}


def read(said: Attributes) -> dict[str, Any]:
    """The columns of the list that a site says of a study; None for what it does not say.

    Raises:
        ValueError: one has no place in a list, or is not what it should be; what it was is not quoted.
    """
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    for item in items(said, _PARAMETERS):
        (concept,) = items(item, "0040A043") or ({},)
        name = first(concept, "00080100")
        if first(concept, "00080102") == SCHEME and name in found:
            found[name] = _value(name, first(item, "0040A160"))
    for name in _NEVER_EMPTY:
        if found[name] is None:
            raise ValueError(f"{name} is missing")
    return found


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
