"""A PACS whose word a test chooses: it stores, answers C-FIND at IMAGE level, and commits, or does not."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Self

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

from cxr_node.dimse.contexts import offered
from tests.node import free_port

PUSH_MODEL, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]
Via = Literal["same", "early", "first", "new", "never"]


class Keeper:
    """Reports `via` the association of the request ("same"; "early": before it has answered the request), one of its
    own ("new"; "first": before the answer, too), or never.

    `offers` are the services beside Storage, in `syntaxes`; `store` gives the status of a C-STORE, `action` that of an
    N-ACTION, `fails` the Failure Reason of an instance or None; `holds` is whether C-FIND finds an instance. Own
    associations lead to `report_to`, (port, AE title).
    """

    def __init__(
        self,
        *offers: str,
        via: Via = "never",
        report_to: tuple[int, str] = (0, ""),
        syntaxes: Sequence[str] = SYNTAXES,
    ) -> None:
        self.syntaxes = list(syntaxes)
        self.offers, self.via, self.report_to, self.port = offers, via, report_to, free_port()
        self.store: Callable[[str], int] = lambda _: 0x0000
        self.action, self.find_status, self.retrieve_ae_title = 0x0000, 0x0000, "ARCHIVE"
        self.fails: Callable[[str], int | None] = lambda _: None
        self.holds: Callable[[str], bool] = lambda uid: uid in self.stored
        self.stored: Counter[str] = Counter()
        self.classes: dict[str, str] = {}
        self.requests: list[Dataset] = []
        self.queries: list[Dataset] = []
        self.answers: list[int | None] = []
        self._server: Any = None

    def __enter__(self) -> Self:
        ae = AE(ae_title="KEEPER")
        for uid in self.offers:
            ae.add_supported_context(uid, self.syntaxes)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._action), (evt.EVT_C_FIND, self._find),
        ]  # fmt: skip
        self._server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers,
            contexts=[*offered(), *ae.supported_contexts],
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        threading.Thread(target=self._server.shutdown).start()  # it takes half a second

    def destination(self, **more: Any) -> dict[str, Any]:
        """As a [[destination]] of a node."""
        return {"name": "pacs", "ae_title": "KEEPER", "host": "127.0.0.1", "port": self.port} | more

    def report_all(self) -> None:
        """Report on all that was asked so far: it is committed."""
        for request in tuple(self.requests):
            self.report(str(request.TransactionUID), _uids(request), {})

    def report(self, transaction_uid: str, committed: list[str], failed: dict[str, int]) -> int | None:
        """Report on an association of our own; the status that is answered, None where nobody takes it."""
        port, title = self.report_to
        ae = AE(ae_title="KEEPER")
        ae.add_requested_context(PUSH_MODEL, SYNTAXES)
        association = ae.associate("127.0.0.1", port, ae_title=title, ext_neg=[build_role(PUSH_MODEL, scp_role=True)])
        if not association.is_established:
            return None
        assert [context.as_scp for context in association.accepted_contexts] == [True]
        status = self._send(association, transaction_uid, committed, failed)
        if association.is_established:
            association.release()
        return status

    def _send(self, association: Any, transaction_uid: str, committed: list[str], failed: dict[str, int]) -> int | None:
        information = Dataset()
        information.TransactionUID = transaction_uid
        information.ReferencedSOPSequence = [self._item(uid) for uid in committed]
        information.FailedSOPSequence = [self._item(uid) for uid in failed]
        for item, reason in zip(information.FailedSOPSequence, failed.values(), strict=True):
            item.FailureReason = reason
        try:
            answer, _ = association.send_n_event_report(information, 2 if failed else 1, PUSH_MODEL, WELL_KNOWN)
        except RuntimeError:  # it was ended meanwhile
            return None
        self.answers.append(answer.get("Status"))
        return self.answers[-1]

    def _item(self, uid: str) -> Dataset:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = self.classes.get(uid, "1.2.3"), uid
        return item

    def _store(self, event: evt.Event) -> int:
        request: Any = event.request
        status = self.store(str(request.AffectedSOPClassUID))
        if status in (0x0000, 0x0111) or status >> 12 == 0xB:
            uid = str(request.AffectedSOPInstanceUID)
            self.stored[uid] += 1
            self.classes[uid] = str(request.AffectedSOPClassUID)
        return status

    def _action(self, event: evt.Event) -> tuple[int, None]:
        request = event.action_information
        self.requests.append(request)
        uids = _uids(request)
        reasons = {uid: self.fails(uid) for uid in uids}
        failed = {uid: reason for uid, reason in reasons.items() if reason is not None}
        said = (str(request.TransactionUID), [uid for uid in uids if uid not in failed], failed)
        if self.via == "first":
            self.report(*said)
        elif self.via == "early":
            self._send(event.assoc, *said)
        elif self.via == "new":
            threading.Thread(target=self.report, args=said).start()
        elif self.via == "same":
            threading.Thread(target=self._report_here, args=(event.assoc, *said)).start()
        return self.action, None

    def _report_here(self, association: Any, *said: Any) -> None:
        time.sleep(0.2)  # the response to N-ACTION goes first
        self._send(association, *said)

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        self.queries.append(query)
        if self.find_status:
            yield self.find_status, None
            return
        uid = str(query.SOPInstanceUID)
        if self.holds(uid):
            answer = Dataset()
            answer.QueryRetrieveLevel, answer.SOPInstanceUID = "IMAGE", uid
            answer.SOPClassUID, answer.RetrieveAETitle = self.classes.get(uid, ""), self.retrieve_ae_title
            yield 0xFF00, answer


def _uids(request: Dataset) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in request.ReferencedSOPSequence]
