"""Matching of attributes against the keys of a query (PS3.4 C.2.2.2): pure, over the DICOM JSON model.

Universal, single value, list of UIDs, wild card, range of dates and times, and sequence matching. Names of persons
match whatever their case (PS3.4 C.2.2.2.1).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from cxr_node.domain.dicom_json import Attributes, items, text, values

_WILD: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_MOMENT: Final = re.compile(
    r"(?P<year>\d{4})(?P<month>\d{2})?(?P<day>\d{2})?(?P<hour>\d{2})?(?P<minute>\d{2})?(?P<second>\d{2})?"
    r"(?:\.(?P<fraction>\d{1,6}))?(?P<offset>[+-]\d{4})?"
)
_DAY: Final = "19700101"  # of a time of day, so that it can be compared as a moment
_LATEST_OFFSET: Final = 1200  # no place is further behind UTC: what stands behind a hyphen is else the end of a range

Span = tuple[datetime, datetime]
"""The first and the last moment that a value of limited precision may mean."""


def matches(query: Mapping[str, Any], attributes: Mapping[str, Any]) -> bool:
    """Whether attributes match every key of a query; a key without a value matches all."""
    return all(_matches(tag, key, attributes) for tag, key in query.items())


def answer(query: Mapping[str, Any], attributes: Attributes) -> Attributes:
    """Of the attributes, those that a query has as keys; empty ones for those that are not there.

    An empty sequence key asks for all of its items' attributes, one with an item for those that the item has.
    """
    return {tag: _answered(key, attributes.get(tag)) for tag, key in query.items()}


def _answered(key: Mapping[str, Any], found: Mapping[str, Any] | None) -> dict[str, Any]:
    if found is None:
        return {"vr": key["vr"]}
    wanted = [item for item in key.get("Value", ()) if isinstance(item, dict) and item]
    if key["vr"] != "SQ" or not wanted:
        return dict(found)
    return {"vr": "SQ", "Value": [answer(wanted[0], item) for item in found.get("Value", ())]}


def _matches(tag: str, key: Mapping[str, Any], attributes: Mapping[str, Any]) -> bool:
    if key["vr"] == "SQ":
        wanted = next(iter(items({tag: dict(key)}, tag)), {})
        asked = any(_says(each) for each in wanted.values())
        return not asked or any(matches(wanted, item) for item in items(attributes, tag))
    asked_for = [text(value) for value in key.get("Value", ()) if text(value)]
    if not asked_for or asked_for == ["*"]:
        return True
    found = [text(value) for value in values(attributes, tag)]
    return any(_one(key["vr"], wanted, value) for wanted in asked_for for value in found)


def _says(key: Mapping[str, Any]) -> bool:
    """Whether a key asks for anything at all, itself or in its items."""
    if key["vr"] == "SQ":
        return any(_says(each) for item in key.get("Value", ()) if isinstance(item, dict) for each in item.values())
    return any(text(value) not in ("", "*") for value in key.get("Value", ()))


def _one(vr: str, wanted: str, value: str) -> bool:
    if vr == "UI":
        return value in wanted.split("\\")
    if vr in ("DA", "DT", "TM"):
        return _within(vr, wanted, value)
    if vr == "PN":
        wanted, value = wanted.casefold(), value.casefold()
    if vr in _WILD and any(sign in wanted for sign in "*?"):
        return re.fullmatch(_pattern(wanted), value, re.DOTALL) is not None
    return wanted == value


def _pattern(wanted: str) -> str:
    """A regular expression for a wild card; a run of stars counts as one."""
    parts = re.split(r"(\*+|\?)", wanted)
    return "".join(".*?" if part.startswith("*") else "." if part == "?" else re.escape(part) for part in parts)


def _within(vr: str, wanted: str, value: str) -> bool:
    spans, here = _range(vr, wanted), _span(vr, value)
    if spans is None or here is None:
        return False
    start, end = spans
    return (start is None or here[1] >= start[0]) and (end is None or here[0] <= end[1])


def _range(vr: str, wanted: str) -> tuple[Span | None, Span | None] | None:
    """Beginning and end of what is asked for, None for an open one; None altogether where it cannot be read."""
    if alone := _span(vr, wanted):
        return alone, alone
    for place in (found.start() for found in re.finditer("-", wanted)):
        before, after = wanted[:place].strip(), wanted[place + 1 :].strip()
        spans = [_span(vr, side) if side else None for side in (before, after)]
        if (before or after) and all(span or not side for span, side in zip(spans, (before, after), strict=True)):
            return spans[0], spans[1]
    return None


def _span(vr: str, value: str) -> Span | None:
    """What moments a value may mean; None where it is no single value. Without an offset it is taken for UTC."""
    if vr == "DA":
        value = value.replace(".", "") if re.fullmatch(r"\d{4}\.\d{2}\.\d{2}", value) else value
        return _moment(value) if re.fullmatch(r"\d{8}", value) else None
    if vr == "TM":
        value = value.replace(":", "")
        return _moment(_DAY + value) if re.fullmatch(r"\d{2}(\d{2}){0,2}(\.\d{1,6})?", value) else None
    return _moment(value)


def _moment(value: str) -> Span | None:
    found = _MOMENT.fullmatch(value)
    if found is None or (found["fraction"] and not found["second"]):
        return None
    offset = found["offset"] or "+0000"
    if offset[0] == "-" and int(offset[1:]) > _LATEST_OFFSET:
        return None
    parts = [int(found[name]) for name in ("year", "month", "day", "hour", "minute", "second") if found[name]]
    micro = (found["fraction"] or "").ljust(6, "0")
    minutes = (int(offset[1:3]) * 60 + int(offset[3:])) * (-1 if offset[0] == "-" else 1)
    try:
        zone = timezone(timedelta(minutes=minutes))
        year, month, day, hour, minute, second = [*parts, *(1, 1, 0, 0, 0)[len(parts) - 1 :]]
        start = datetime(year, month, day, hour, minute, second, int(micro), zone)
        return start.astimezone(UTC), _end(start, len(parts), len(found["fraction"] or "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _end(start: datetime, parts: int, digits: int) -> datetime:
    """The last moment that is still meant, where `parts` of year, month ... second, and `digits` of it, are given."""
    if parts == 1:
        following = start.replace(year=start.year + 1)
    elif parts == 2:
        following = (start + timedelta(days=31)).replace(day=1)
    else:
        steps = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))
        following = start + (timedelta(microseconds=10 ** (6 - digits)) if digits else steps[parts - 3])
    return following - timedelta(microseconds=1)
