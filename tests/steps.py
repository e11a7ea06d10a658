"""A workstation that speaks Unified Procedure Step, with pynetdicom's own client, and a watcher that is called."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from cxr_node.dimse.workitems import EVENT, PULL, QUERY, WATCH
from cxr_node.domain.reading_step import PUSH

TIMEOUT = 60.0  # generous: the machine may be busy with other things


class Workstation:
    """An association with a node; in `with` it is open. `longest`: bytes of a PDU that it takes; 0 for any."""

    def __init__(self, port: int, calling: str = "VIEWER1", called: str = "CXR_NODE", longest: int = 16382) -> None:
        ae = AE(ae_title=calling)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = TIMEOUT
        for uid in (PUSH, PULL, WATCH, QUERY):
            ae.add_requested_context(uid, ExplicitVRLittleEndian)
        self.association = ae.associate("127.0.0.1", port, ae_title=called, max_pdu=longest)
        assert self.association.is_established
        transport: Any = self.association.dul.socket
        self._connection = transport.socket

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.association.is_established:
            self.association.release()
        self._connection.close()

    def create(self, uid: str, said: Dataset, of: str = PUSH) -> Dataset:
        return self.association.send_n_create(said, UID(PUSH), UID(uid), meta_uid=UID(of))[0]

    def get(self, uid: str, tags: Sequence[int] = (), of: str = PULL) -> tuple[Dataset, Dataset | None]:
        return self.association.send_n_get(list(tags), UID(PUSH), UID(uid), meta_uid=UID(of))

    def set(self, uid: str, said: Dataset, of: str = PULL) -> Dataset:
        return self.association.send_n_set(said, UID(PUSH), UID(uid), meta_uid=UID(of))[0]

    def act(self, uid: str, action: int, said: Dataset, of: str) -> Dataset:
        return self.association.send_n_action(said, action, UID(PUSH), UID(uid), meta_uid=UID(of))[0]

    def change(self, uid: str, state: str, transaction: str | None) -> int:
        """Change UPS State; the status."""
        said = Dataset()
        said.ProcedureStepState = state
        if transaction is not None:
            said.TransactionUID = transaction
        return int(self.act(uid, 1, said, PULL).Status)

    def request_cancel(self, uid: str, reason: str = "wrong side") -> int:
        said = Dataset()
        said.ReasonForCancellation = reason
        return int(self.act(uid, 2, said, PUSH).Status)

    def subscribe(self, uid: str, receiver: str, *, lock: bool = False, action: int = 3, **keys: Any) -> int:
        """Subscribe (3), unsubscribe (4) or suspend (5); the status."""
        said = Dataset()
        said.ReceivingAE = receiver
        if action == 3:
            said.DeletionLock = "TRUE" if lock else "FALSE"
        for keyword, value in keys.items():
            setattr(said, keyword, value)
        return int(self.act(uid, action, said, WATCH).Status)

    def find(self, query: Dataset, of: str = PULL) -> tuple[list[Dataset], int]:
        """What matches, and the last status."""
        found, status = [], -1
        for response, identifier in self.association.send_c_find(query, UID(of)):
            status = int(response.Status)
            if identifier is not None:
                found.append(identifier)
        return found, status

    def uids(self, **keys: Any) -> list[str]:
        """The SOP Instance UIDs of what matches, as they come."""
        return [one.SOPInstanceUID for one in self.find(keyed(**keys))[0]]


def keyed(**keys: Any) -> Dataset:
    """A query; without a state, for all of them."""
    query = Dataset()
    query.SOPInstanceUID = query.ProcedureStepState = ""
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


_MAY_BE_EMPTY = (
    "ScheduledProcessingParametersSequence", "ScheduledStationNameCodeSequence", "ScheduledStationClassCodeSequence",
    "ScheduledStationGeographicLocationCodeSequence", "CommentsOnTheScheduledProcedureStep", "InputInformationSequence",
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence", "PatientBirthDate",
    "PatientSex", "AdmissionID", "IssuerOfAdmissionIDSequence", "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence", "ProcedureStepProgressInformationSequence",
    "UnifiedProcedureStepPerformedProcedureSequence",
)  # fmt: skip
"""Of what an N-CREATE must have (type 2)."""


def wanted(study: str | None = None, accession: str | None = None, **attributes: Any) -> Dataset:
    """What N-CREATE says of a reading, as far as PS3.4 table CC.2.5-3 asks for it; None leaves an attribute out."""
    said = Dataset()
    said.TransactionUID = ""
    said.ProcedureStepState, said.InputReadinessState = "SCHEDULED", "READY"
    said.ScheduledProcedureStepPriority = "HIGH"
    said.ProcedureStepLabel, said.WorklistLabel = "Second reading", "Consultation"
    said.ScheduledProcedureStepStartDateTime = "20260101120000"
    said.ScheduledWorkitemCodeSequence = [code("110005", "DCM", "Interpretation")]
    for keyword in _MAY_BE_EMPTY:
        setattr(said, keyword, [] if keyword.endswith("Sequence") else "")
    said.PatientName, said.PatientID = "Doe^Jane", "P1"
    request = Dataset()
    request.StudyInstanceUID, request.AccessionNumber = study or "", accession or ""
    said.ReferencedRequestSequence = [request]
    for keyword, value in attributes.items():
        if value is None:
            delattr(said, keyword)
        else:
            setattr(said, keyword, value)
    return said


def performed(**attributes: Any) -> Dataset:
    """An N-SET with what table CC.2.5-3 requires of a final state."""
    item = Dataset()
    item.PerformedProcedureStepStartDateTime, item.PerformedProcedureStepEndDateTime = (
        "20260101120500",
        "20260101121000",
    )
    item.PerformedStationNameCodeSequence = [code("VIEWER1", "99SITE", "Viewer 1")]
    item.PerformedWorkitemCodeSequence = [code("110005", "DCM", "Interpretation")]
    item.OutputInformationSequence = []
    said = Dataset()
    said.UnifiedProcedureStepPerformedProcedureSequence = [item]
    for keyword, value in attributes.items():
        setattr(said, keyword, value)
    return said


class Watcher:
    """A system that is called with event reports (UPS Event as SCU), and keeps them; in `with` it listens.

    With a `tls` context it takes TLS only. `taken` is called when a report has come and is not answered yet. `times` of
    what it heard, in the same order, in seconds since 1970 UTC.
    """

    def __init__(
        self, ae_title: str = "WATCHER", port: int = 0, status: int = 0x0000, tls: ssl.SSLContext | None = None
    ) -> None:
        self._ae = AE(ae_title=ae_title)
        self._ae.add_supported_context(EVENT, scu_role=True, scp_role=True)
        self._status, self._tls, self._lock = status, tls, threading.Lock()
        self.taken: Callable[[], None] = lambda: None
        self.port, self._server = port, None
        self.heard: list[tuple[str, int, Dataset]] = []
        self.times: list[float] = []

    def __enter__(self) -> Self:
        self._server: Any = self._ae.start_server(
            ("127.0.0.1", self.port),
            block=False,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._told)],
            ssl_context=self._tls,
        )
        self.port = int(self._server.server_address[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _told(self, event: evt.Event) -> tuple[int, None]:
        request: Any = event.request
        with self._lock:
            self.times.append(time.time())
            self.heard.append((str(request.AffectedSOPInstanceUID), int(event.event_type), event.event_information))
        self.taken()
        return self._status, None

    def states(self, uid: str | None = None) -> list[str]:
        """The states that were reported, of one workitem or of all."""
        return list(self._states(uid))

    def _states(self, uid: str | None) -> Iterator[str]:
        with self._lock:
            for workitem, kind, information in self.heard:
                if kind == 1 and uid in (None, workitem):
                    yield information.ProcedureStepState
