"""Asking the RIS what was ordered: C-FIND of its Modality Worklist by accession number (PS3.4 annex K)."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from cxr_node.dimse.find import Queried, find
from cxr_node.dimse.sender import Peer
from cxr_node.dimse.workitems import MODALITY_WORKLIST
from cxr_node.imaging.header import texts


@dataclass(frozen=True, slots=True)
class Order:
    """An entry of the RIS's worklist, as far as it is looked at; empty where it does not say."""

    accession: str
    patient_id: str
    priority: str


def look_up(peer: Peer, calling: str, accession: str, queried: Queried) -> list[Order]:
    """The entries of an accession number. Raises as `find`."""
    return [_order(match) for match in find(peer, calling, MODALITY_WORKLIST, [_query(accession)], queried)]


def _query(accession: str) -> Dataset:
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 192"
    query.AccessionNumber = accession
    query.PatientID = query.RequestedProcedurePriority = query.StudyInstanceUID = ""
    query.ScheduledProcedureStepSequence = [Dataset()]
    query.ScheduledProcedureStepSequence[0].Modality = ""
    return query


def _order(identifier: Dataset) -> Order:
    said = (
        next(iter(texts(identifier, keyword)), "")
        for keyword in ("AccessionNumber", "PatientID", "RequestedProcedurePriority")
    )
    return Order(*said)
