"""A C-STORE that stops half-way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pydicom.dataset import FileDataset
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE

from tests.fault.damage import data_set
from tests.node import Node


@contextmanager
def half_sent(node: Node, film: FileDataset) -> Iterator[tuple[Association, Callable[[], int]]]:
    """An association over which the first half of a film was sent, and what sends the rest and gives the status."""
    with node.association((film.SOPClassUID, film.file_meta.TransferSyntaxUID)) as association:
        pieces = in_pieces(node, film, association)
        assert len(pieces) >= 4, "the film is too small, or the node's PDUs too large"
        for piece in pieces[: len(pieces) // 2]:
            association.dul.send_pdu(piece)

        def rest() -> int:
            association._reactor_checkpoint.clear()
            for piece in pieces[len(pieces) // 2 :]:
                association.dul.send_pdu(piece)
            response: Any = association.dimse.get_msg(block=True)[1]
            association._reactor_checkpoint.set()
            return int(response.Status)

        yield association, rest


def in_pieces(node: Node, film: FileDataset, association: Association) -> list[Any]:
    """The P-DATA primitives of a C-STORE, command first, for an association that accepted the film's class."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
    request.DataSet = BytesIO(data_set(node.written(film)))
    message: Any = C_STORE_RQ()
    message.primitive_to_message(request)
    (context,) = association.accepted_contexts
    return list(message.encode_msg(context.context_id, association.acceptor.maximum_length))
