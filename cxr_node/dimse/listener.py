"""The listener: Verification and Storage as SCP (PS3.4 annexes A and B), and what other services it is given."""

import ipaddress
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from cxr_node.dimse import contexts
from cxr_node.dimse.admission import Admission
from cxr_node.dimse.connections import Gate, NodeServer
from cxr_node.dimse.endpoint import Endpoint
from cxr_node.dimse.reception import finished_part, receive_into, unfinished_part, wake
from cxr_node.domain.callers import Counts, Refusals
from cxr_node.domain.intake import Answer, Intake, Received, Refusal
from cxr_node.domain.uid import IMPLEMENTATION_CLASS_UID
from cxr_node.errors import ConfigError

log = structlog.get_logger()

_COMMENT_LENGTH = 64  # Error Comment (0000,0902) is LO


class Service(Protocol):
    """A DICOM service that the node offers beside Verification and Storage."""

    def contexts(self) -> Sequence[PresentationContext]:
        """What it accepts."""
        ...

    def handlers(self) -> Sequence[evt.EventHandlerType]:
        """Its handlers, as pynetdicom takes them."""
        ...


class Listener:
    """Receives until it is stopped; films go to `intake`, their parts are written in `incoming`.

    `refused` is told of callers that get no association, as `Refusals` has it; `counts` gets how many associations
    there were, by calling AE title, and how many were refused, by reason."""

    def __init__(
        self,
        endpoint: Endpoint,
        intake: Intake,
        incoming: Path,
        services: Sequence[Service] = (),
        *,
        refused: Callable[[Refusal], None],
        counts: Counts | None = None,
    ) -> None:
        self._endpoint, self._intake, self._incoming, self._services = endpoint, intake, incoming, services
        self._studies: weakref.WeakKeyDictionary[Association, set[str]] = weakref.WeakKeyDictionary()
        self._ae = AE(ae_title=endpoint.ae_title)
        self._ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self._ae.maximum_associations = 2 * endpoint.max_associations  # more than admission ever lets in
        self._ae.maximum_pdu_size = endpoint.max_pdu
        self._ae.network_timeout = self._ae.dimse_timeout = endpoint.timeout
        self._ae.acse_timeout = min(endpoint.timeout, 30.0)
        self._counts = counts or Counts()
        refusals = Refusals(refused, counts=self._counts)
        self._admission = Admission(endpoint, refusals)
        networks = [ipaddress.ip_network(text) for text in endpoint.allowed_networks]
        self._gate = Gate(networks, endpoint.tls, refusals.refused)
        self._server: NodeServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Returns when the port answers. Raises ConfigError when it cannot be had."""
        receive_into(self._incoming, self._intake.full)
        where = (self._endpoint.host, self._endpoint.port)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._admission.requested),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_RELEASED, self._released),
            (evt.EVT_CONN_CLOSE, self._closed),
            *_by_context(self._services),
        ]
        offered = [*contexts.offered(), *(context for service in self._services for context in service.contexts())]
        try:
            self._server = NodeServer(
                self._ae, where, self._endpoint.ae_title, offered, handlers=handlers, gate=self._gate
            )
        except OSError as error:
            raise ConfigError(f"cannot listen on {where[0]} port {where[1]}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="listener", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1]) if self._server else self._endpoint.port

    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def stop(self, grace: float) -> None:
        """Take no more associations, let live ones finish for `grace` seconds, then abort what is left."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()  # its loop is over; the thread itself may take a moment more
        until = time.monotonic() + grace
        while self._ae.active_associations and time.monotonic() < until:
            time.sleep(0.02)
        for association in self._ae.active_associations:
            association.abort()

    def _accepted(self, event: evt.Event) -> None:
        self._counts.count("association.accepted", event.assoc.requestor.ae_title.strip())

    def _stored(self, event: evt.Event) -> int | Dataset:
        request: Any = event.request
        part = finished_part(request)
        received = Received(
            path=Path(part.name),
            stream=part.stream,
            digest=part.digest.hexdigest(),
            error=part.error,
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            transfer_syntax=str(event.context.transfer_syntax),
            calling_ae_title=event.assoc.requestor.ae_title,
            address=event.assoc.requestor.address or "",
        )
        # Whatever the node does not foresee is its own fault, and the sender is to hear that (0x0110): by pynetdicom
        # it would be told that its object is not understood (0xC211), and would not send it again.
        try:
            verdict = self._intake.accept(received)
        except Exception:
            log.exception("instance.fault", calling=received.calling_ae_title)
            return _status(Answer.FAULT, "internal error of the node; see its log")
        if verdict.study:
            self._studies.setdefault(event.assoc, set()).add(verdict.study)
        return _status(verdict.answer, verdict.comment)

    def _released(self, event: evt.Event) -> None:
        if studies := self._studies.pop(event.assoc, None):
            self._intake.released(frozenset(studies))

    def _closed(self, event: evt.Event) -> None:
        wake(event.assoc)
        self._studies.pop(event.assoc, None)
        if part := unfinished_part(event.assoc):
            log.warning("association.broken", calling=event.assoc.requestor.ae_title, reason="closed within a data set")
            part.discard()


def _by_context(services: Sequence[Service]) -> list[evt.EventHandlerType]:
    """A handler for each event, which gives it to the service in whose presentation context it came."""
    found: dict[evt.EventType, dict[str, Callable[[evt.Event], Any]]] = {}
    for service in services:
        spoken = [str(context.abstract_syntax) for context in service.contexts()]
        for event, handler, *_ in service.handlers():
            found.setdefault(event, {}).update(dict.fromkeys(spoken, handler))
    return [(event, _chosen(handlers)) for event, handlers in found.items()]


def _chosen(handlers: dict[str, Callable[[evt.Event], Any]]) -> Callable[[evt.Event], Any]:
    def handle(event: evt.Event) -> Any:
        return handlers[str(event.context.abstract_syntax)](event)

    return handle


def _status(answer: Answer, comment: str) -> int | Dataset:
    if not comment:
        return int(answer)
    response = Dataset()
    response.Status = int(answer)
    response.ErrorComment = comment[:_COMMENT_LENGTH]
    return response
