"""References to instances by study and series, as evidence has them (PS3.3 C.17.2.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance of the study."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


def evidence(study_uid: str, references: Sequence[Reference]) -> Dataset:
    """The instances as one item, by series."""
    series: dict[str, list[Dataset]] = {}
    for each in references:
        instance = Dataset()
        instance.ReferencedSOPClassUID = each.sop_class_uid
        instance.ReferencedSOPInstanceUID = each.sop_instance_uid
        series.setdefault(each.series_instance_uid, []).append(instance)
    study = Dataset()
    study.StudyInstanceUID = study_uid
    study.ReferencedSeriesSequence = []
    for series_uid, instances in series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_uid
        item.ReferencedSOPSequence = instances
        study.ReferencedSeriesSequence.append(item)
    return study
