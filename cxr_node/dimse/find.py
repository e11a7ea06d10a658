"""Asking a peer by C-FIND (PS3.4 C.4.1, K.4.1) what it knows under a number that it is to find exactly."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dsutils import encode

from cxr_node.dimse.contexts import UNCOMPRESSED
from cxr_node.dimse.sender import Peer, application_entity, associate
from cxr_node.errors import Transient
from cxr_node.message import Message

Queried = Callable[[bytes, str], None]
"""Records a query, as it will go over the wire, and its transfer syntax; it leaves only afterwards."""

_PENDING = (0xFF00, 0xFF01)
_MOST = 20  # matches of one number; a peer that sends more does not look at the query


def find(peer: Peer, calling: str, model: str, queries: Sequence[Dataset], queried: Queried) -> list[Dataset]:
    """The matches of some queries, over one association.

    Raises Transient when it may work later, NoContext where the peer does not answer for the information model.
    """
    ae = application_entity(peer, calling)
    ae.add_requested_context(model, list(UNCOMPRESSED[:2]))
    association = associate(ae, peer)
    try:
        syntax = association.accepted_contexts[0].transfer_syntax[0]
        found: list[Dataset] = []
        for query in queries:
            queried(encode(query, syntax.is_implicit_VR, syntax.is_little_endian) or b"", str(syntax))
            found += _matches(association, peer, model, query)
        return found
    except RuntimeError as error:
        raise Transient(
            "ASSOCIATION_LOST", Message("the association with {name} was lost while asking", name=peer.name)
        ) from error
    finally:
        if association.is_established:
            association.release()


def _matches(association: Association, peer: Peer, model: str, query: Dataset) -> Iterator[Dataset]:
    for count, (response, identifier) in enumerate(association.send_c_find(query, model)):
        status: Any = response.get("Status")
        if status is None:
            raise Transient("NO_ANSWER", Message("{name} did not answer C-FIND", name=peer.name))
        if count >= _MOST and status in _PENDING:
            association.abort()
            raise Transient(
                "QUERY_IGNORED", Message("{name} answers a query for one number with many others", name=peer.name)
            )
        if status in _PENDING and identifier is not None:
            yield identifier
        elif status != 0x0000:
            raise Transient(
                "PEER_FAULT",
                Message("{name} answered C-FIND with status 0x{status:04X}", name=peer.name, status=status),
            )
