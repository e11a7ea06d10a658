"""Attributes in the DICOM JSON model (PS3.18 annex F): by their tag of eight hexadecimal digits.

Workitems are kept and matched in this form; what speaks DIMSE or XML translates at its edge.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

Attributes = dict[str, Any]

_TAG: Final = re.compile(r"[0-9A-F]{8}")
_VR: Final = re.compile(r"[A-Z]{2}")
_DEEPEST: Final = 8  # sequences within sequences; workitems have three or four


def element(vr: str, *values: Any) -> dict[str, Any]:
    """An element of these values; without any, or with an empty one alone, an empty element."""
    given = [] if values in (("",), (None,)) else list(values)
    return {"vr": vr, "Value": given} if given else {"vr": vr}


def sequence(*items: Attributes) -> dict[str, Any]:
    return element("SQ", *items)


def code(value: str, scheme: str, meaning: str) -> Attributes:
    """A coded entry (PS3.3 8.8)."""
    return {"00080100": element("SH", value), "00080102": element("SH", scheme), "00080104": element("LO", meaning)}


def values(attributes: Mapping[str, Any], tag: str) -> list[Any]:
    """The values of an attribute; empty where it is absent or empty."""
    found = attributes.get(tag)
    return list(found.get("Value", ())) if isinstance(found, Mapping) else []


def first(attributes: Mapping[str, Any], tag: str) -> str:
    """The first value of an attribute as text; empty where there is none."""
    return next((text(value) for value in values(attributes, tag)), "")


def items(attributes: Mapping[str, Any], tag: str) -> list[Attributes]:
    """The items of a sequence."""
    return [value for value in values(attributes, tag) if isinstance(value, dict)]


def text(value: Any) -> str:
    """A value as text without padding: of a person name its alphabetic form."""
    if isinstance(value, Mapping):
        value = value.get("Alphabetic", "")
    return "" if value is None else str(value).strip()


def fault(attributes: object, depth: int = 0) -> str | None:
    """Why something is no data set in this model, without quoting it; None when it is one."""
    if not isinstance(attributes, dict):
        return "a data set is an object of elements by their tags"
    if depth > _DEEPEST:
        return f"sequences stand more than {_DEEPEST} deep in each other"
    for tag, found in attributes.items():
        if not isinstance(tag, str) or not _TAG.fullmatch(tag):
            return "a tag has eight hexadecimal digits, in capitals"
        if not isinstance(found, dict) or not _VR.fullmatch(str(found.get("vr", ""))):
            return f"{tag} has no value representation (vr)"
        if why := _fault_in_values(tag, found, depth):
            return why
    return None


def _fault_in_values(tag: str, found: Mapping[str, Any], depth: int) -> str | None:
    given = found.get("Value", [])
    if not isinstance(given, list):
        return f"the values of {tag} are no list"
    if found["vr"] == "SQ":
        return next((why for item in given if (why := fault(item, depth + 1))), None)
    if found["vr"] == "PN":
        sound = all(value is None or isinstance(value, dict) for value in given)
        return None if sound else f"a person name in {tag} is no object with Alphabetic"
    sound = all(value is None or isinstance(value, str | int | float) for value in given)
    return None if sound else f"a value of {tag} is neither text nor a number"


def without(attributes: Attributes, tags: Iterable[str]) -> Attributes:
    left = frozenset(tags)
    return {tag: found for tag, found in attributes.items() if tag not in left}
