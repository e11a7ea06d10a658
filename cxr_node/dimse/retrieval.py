"""Searching an archive for studies and having it send them: C-FIND and C-MOVE (PS3.4 annex C, Study Root)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dsutils import encode

from cxr_node.dimse.contexts import UNCOMPRESSED
from cxr_node.dimse.inquiry import STUDY_ROOT_FIND
from cxr_node.dimse.sender import Peer, application_entity, associate
from cxr_node.errors import Permanent, Transient
from cxr_node.imaging.header import texts
from cxr_node.message import Message

STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
_PENDING = (0xFF00, 0xFF01)
_UNKNOWN_DESTINATION = 0xA801

Queried = Callable[[bytes, str], None]
"""Records a query and its transfer syntax, before it leaves."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a C-MOVE: sub-operations that were completed (with a warning or without), and that failed."""

    completed: int
    failed: int


def find(peer: Peer, calling: str, keys: dict[str, str], wanted: str, queried: Queried) -> Iterator[str]:
    """The values of `wanted` of what matches; QueryRetrieveLevel is among the keys. Raises Transient, NoContext."""
    with_model = _associated(peer, calling, STUDY_ROOT_FIND)
    try:
        query = Dataset()
        for keyword, value in {wanted: "", **keys}.items():
            setattr(query, keyword, value)
        syntax = with_model.accepted_contexts[0].transfer_syntax[0]
        queried(encode(query, syntax.is_implicit_VR, syntax.is_little_endian) or b"", str(syntax))
        for response, identifier in with_model.send_c_find(query, STUDY_ROOT_FIND):
            status = _status(response, peer)
            if status in _PENDING and identifier is not None:
                yield from texts(identifier, wanted)
            elif status != 0x0000:
                raise Transient(
                    "PEER_FAULT",
                    Message("{name} answered C-FIND with status 0x{status:04X}", name=peer.name, status=status),
                )
    except RuntimeError as error:
        raise _lost(peer) from error
    finally:
        _release(with_model)


def move(peer: Peer, calling: str, destination: str, study: str, series: str) -> Moved:
    """Have an archive send a series to the AE title `destination`, which it must know. Raises Transient, Permanent."""
    association = _associated(peer, calling, STUDY_ROOT_MOVE)
    try:
        query = Dataset()
        query.QueryRetrieveLevel = "SERIES"
        query.StudyInstanceUID, query.SeriesInstanceUID = study, series
        last: Any = Dataset()
        for response, _ in association.send_c_move(query, destination, STUDY_ROOT_MOVE):
            status, last = _status(response, peer), response
            if status == _UNKNOWN_DESTINATION:
                why = Message(
                    "{name} does not know where {ae_title} is: enter this node there, with its host and port",
                    name=peer.name, ae_title=destination,
                )  # fmt: skip
                raise Permanent("MOVE_REFUSED", why)
            if status not in _PENDING and status not in (0x0000, 0xB000):
                raise Transient(
                    "PEER_FAULT",
                    Message("{name} answered C-MOVE with status 0x{status:04X}", name=peer.name, status=status),
                )
        done = int(last.get("NumberOfCompletedSuboperations") or 0) + int(last.get("NumberOfWarningSuboperations") or 0)
        return Moved(done, int(last.get("NumberOfFailedSuboperations") or 0))
    except RuntimeError as error:
        raise _lost(peer) from error
    finally:
        _release(association)


def _associated(peer: Peer, calling: str, model: str) -> Association:
    ae = application_entity(peer, calling)
    ae.add_requested_context(model, list(UNCOMPRESSED[:2]))
    return associate(ae, peer)


def _status(response: Dataset, peer: Peer) -> int:
    status: Any = response.get("Status")
    if status is None:
        why = Message(
            "{name} did not answer; for C-MOVE it must know this node, with its AE title, host and port", name=peer.name
        )
        raise Transient("NO_ANSWER", why)
    return int(status)


def _lost(peer: Peer) -> Transient:
    return Transient("ASSOCIATION_LOST", Message("the association with {name} was lost while asking", name=peer.name))


def _release(association: Association) -> None:
    if association.is_established:
        association.release()
