"""A RIS that is asked for what was ordered, with pynetdicom's own Modality Worklist server."""

import ssl
from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from cxr_node.dimse.sender import Peer
from cxr_node.dimse.workitems import MODALITY_WORKLIST


class Ris:
    """A Modality Worklist of given entries: (accession number, patient ID, priority). In `with` it listens.

    With a `tls` context it takes TLS only.
    """

    def __init__(self, *entries: tuple[str, str, str], status: int = 0x0000, tls: ssl.SSLContext | None = None) -> None:
        self._entries, self._status, self._tls = entries, status, tls
        self.asked: list[str] = []

    def __enter__(self) -> Peer:
        ae = AE(ae_title="RIS")
        ae.add_supported_context(MODALITY_WORKLIST)
        self._server: Any = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, self._find)], ssl_context=self._tls
        )
        return Peer("the RIS", "RIS", "127.0.0.1", int(self._server.server_address[1]), timeout=60.0)

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.asked.append(event.identifier.AccessionNumber)
        for accession, patient, priority in self._entries:
            found = Dataset()
            found.AccessionNumber, found.PatientID, found.RequestedProcedurePriority = accession, patient, priority
            yield 0xFF00, found
        if self._status:
            yield self._status, None
