"""Asking the RIS what was ordered: C-FIND of its Modality Worklist by accession number (PS3.4 annex K)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from cxr_node.dimse.contexts import UNCOMPRESSED
from cxr_node.dimse.sender import Peer, application_entity, associate
from cxr_node.dimse.workitems import MODALITY_WORKLIST
from cxr_node.errors import Transient
from cxr_node.imaging.header import texts
from cxr_node.message import Message

_PENDING = (0xFF00, 0xFF01)
_MOST = 20  # entries of one accession number; a peer that sends more does not look at the query


@dataclass(frozen=True, slots=True)
class Order:
    """An entry of the RIS's worklist, as far as it is looked at; empty where it does not say."""

    accession: str
    patient_id: str
    priority: str


def look_up(peer: Peer, calling: str, accession: str, queried: Callable[[bytes, str], None]) -> list[Order]:
    """The entries of an accession number; `queried` records the query and its syntax, before it leaves.

    Raises Transient when it may work later, NoContext where the peer has no Modality Worklist.
    """
    ae = application_entity(peer, calling)
    ae.add_requested_context(MODALITY_WORKLIST, list(UNCOMPRESSED[:2]))
    association = associate(ae, peer)
    try:
        query, syntax = _query(accession), association.accepted_contexts[0].transfer_syntax[0]
        encoded = encode(query, syntax.is_implicit_VR, syntax.is_little_endian)
        queried(encoded or b"", str(syntax))
        found: list[Order] = []
        for response, identifier in association.send_c_find(query, MODALITY_WORKLIST):
            status: Any = response.get("Status")
            if status is None:
                raise Transient("NO_ANSWER", Message("{name} did not answer C-FIND", name=peer.name))
            if status in _PENDING and identifier is not None:
                found.append(_order(identifier))
            elif status != 0x0000:
                raise Transient(
                    "PEER_FAULT",
                    Message("{name} answered C-FIND with status 0x{status:04X}", name=peer.name, status=status),
                )
            if len(found) > _MOST:
                association.abort()
                raise Transient(
                    "QUERY_IGNORED", Message("{name} answers a query for one order with many others", name=peer.name)
                )
        return found
    except RuntimeError as error:
        raise Transient(
            "ASSOCIATION_LOST", Message("the association with {name} was lost while asking", name=peer.name)
        ) from error
    finally:
        if association.is_established:
            association.release()


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
