"""The SOP classes that a structured report can be written in, the one that says most first (PS3.4 annex B.5)."""

from collections.abc import Sequence
from typing import Literal, get_args

ReportClass = Literal["comprehensive_3d", "comprehensive", "enhanced", "basic_text"]
REPORT_CLASSES: dict[ReportClass, str] = {
    "comprehensive_3d": "1.2.840.10008.5.1.4.1.1.88.34",
    "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
    "enhanced": "1.2.840.10008.5.1.4.1.1.88.22",
    "basic_text": "1.2.840.10008.5.1.4.1.1.88.11",
}
"""By the name that the configuration has for it, in the order of preference: the SOP Class UID."""


def next_classes(sop_class_uid: str) -> Sequence[ReportClass]:
    """What may be tried, in this order, with a peer that does not take a report of this class."""
    order: tuple[ReportClass, ...] = get_args(ReportClass)
    places = [place for place, name in enumerate(order) if REPORT_CLASSES[name] == sop_class_uid]
    return order[places[0] + 1 :] if places else ()
