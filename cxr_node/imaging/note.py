"""Rejection notes: Key Object Selections that say which instances do not count any more (IHE RAD TF-3 4.66)."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from cxr_node.domain.correction import Rejection
from cxr_node.imaging.header import first_item, items, texts

KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"


@dataclass(frozen=True, slots=True)
class Note:
    """A note: its SOP Instance UID, why it rejects, and the SOP Instance UIDs of what."""

    sop_instance_uid: str
    title: Rejection
    instances: tuple[str, ...]


def read_note(dataset: Dataset) -> Note | None:
    """What a Key Object Selection rejects; None for one whose title says nothing of the kind.

    Its references are those of its content and of its evidence (0040,A375): one of them may be incomplete.
    """
    title = first_item(dataset, "ConceptNameCodeSequence")
    if title is None or _text(title, "CodingSchemeDesignator") != "DCM":
        return None
    code, uid = _text(title, "CodeValue"), _text(dataset, "SOPInstanceUID")
    if code not in list(Rejection) or not uid:
        return None
    return Note(uid, Rejection(code), tuple(dict.fromkeys(_references(dataset))))


def _references(dataset: Dataset) -> Iterator[str]:
    for study in items(dataset, "CurrentRequestedProcedureEvidenceSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            yield from _instances(series)
    for item in items(dataset, "ContentSequence"):
        yield from _instances(item)


def _instances(item: Dataset) -> Iterator[str]:
    for one in items(item, "ReferencedSOPSequence"):
        if uid := _text(one, "ReferencedSOPInstanceUID"):
            yield uid


def _text(dataset: Dataset, keyword: str) -> str:
    return next(iter(texts(dataset, keyword)), "")
