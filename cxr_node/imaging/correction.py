"""A film's header with the identity that is known now in the place of that which it came with; the file stays."""

import copy
from collections.abc import Mapping

from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag

from cxr_node.imaging.header import items, texts

_ACCESSION, _PROCEDURE = "AccessionNumber", "RequestedProcedureCodeSequence"
_STALE = {
    "IssuerOfPatientID": ("IssuerOfPatientIDQualifiersSequence",),
    "PatientBirthDate": ("PatientAge",),
    _ACCESSION: ("IssuerOfAccessionNumberSequence",),
}
"""What says something of an attribute, and is not known of another value."""


def with_identity(dataset: Dataset, identity: Mapping[str, str]) -> Dataset:
    """A copy in which the attributes of `identity`, by keyword, have its values, in Unicode; else the same data set.

    The items of Request Attributes that name the film's own accession number name the new one. A procedure, as code
    value, meaning and coding scheme with ^ between, is that of the study and of each request.
    """
    if not identity:
        return dataset
    made = copy.deepcopy(dataset)
    for keyword, value in identity.items():
        if keyword == _PROCEDURE:
            _reorder(made, value)
            continue
        for stale in _STALE.get(keyword, ()):
            if stale in made:
                del made[stale]
        _put(made, keyword, value)
    if _ACCESSION in identity:
        _renumber(made, texts(dataset, _ACCESSION), identity[_ACCESSION])
    return made


def _renumber(made: Dataset, before: tuple[str, ...], accession: str) -> None:
    for item in items(made, "RequestAttributesSequence"):
        if _ACCESSION in item and texts(item, _ACCESSION) in (before, ()):
            _put(item, _ACCESSION, accession)


def _reorder(made: Dataset, procedure: str) -> None:
    code = Dataset()
    values = procedure.split("^")
    for keyword, value in zip(("CodeValue", "CodeMeaning", "CodingSchemeDesignator"), values, strict=True):
        _put(code, keyword, value)
    made.ProcedureCodeSequence = [code]
    for item in items(made, "RequestAttributesSequence"):
        item.RequestedProcedureCodeSequence = [code]
        _put(item, "RequestedProcedureDescription", code.CodeMeaning)


def _put(dataset: Dataset, keyword: str, value: str) -> None:
    tag = Tag(keyword)
    dataset[tag] = DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)
