"""Storage commitment on the wire: its data sets, the listener's side of it, and our reports (PS3.4 annex J)."""

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.presentation import PresentationContext

from cxr_node.dimse.contexts import UNCOMPRESSED
from cxr_node.dimse.sender import Peer, application_entity, associate
from cxr_node.domain.commitment import Ledger, Outcome, Reference, Report, Request, Status, by_outcome
from cxr_node.errors import Permanent, Transient
from cxr_node.imaging.header import items, numbers, texts
from cxr_node.message import Message

log = structlog.get_logger()

PUSH_MODEL = "1.2.840.10008.1.20.1"
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
REQUEST_COMMITMENT = 1  # Action Type ID (PS3.4 J.3.2)
_ALL_COMMITTED, _FAILURES_EXIST = 1, 2  # Event Type ID (PS3.4 J.3.3)
_UID = re.compile(r"(?=.{1,64}$)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_LONGEST = 1 << 20  # bytes of a data set; a request about 5000 instances has less
_UNSPECIFIED = 0x0110  # where a peer gives no Failure Reason

Handler = Callable[[evt.Event], tuple[int, Dataset | None]]


def offered(*, serving: bool) -> list[PresentationContext]:
    """What the service accepts: reports, and with `serving` requests."""
    context = build_context(PUSH_MODEL, list(UNCOMPRESSED[:2]))
    context.scu_role, context.scp_role = serving, True
    return [context]


class Commitment:
    """The service in the listener: reports on what we asked, and, with `serving`, requests of X-ray machines.

    A peer that reports on an association of its own proposes to be SCP on it (PS3.4 J.3.3, PS3.7 D.3.3.4); one that
    proposes nothing is taken too.
    """

    def __init__(self, ledger: Ledger, *, serving: bool) -> None:
        self._ledger, self._serving = ledger, serving

    def contexts(self) -> Sequence[PresentationContext]:
        return offered(serving=self._serving)

    def handlers(self) -> Sequence[evt.EventHandlerType]:
        return [(evt.EVT_N_EVENT_REPORT, on_report(self._ledger.reported)), (evt.EVT_N_ACTION, self._requested)]

    def _requested(self, event: evt.Event) -> tuple[int, Dataset | None]:
        request: Any = event.request
        if not self._serving:
            return Status.NOT_AUTHORISED, None
        if str(request.RequestedSOPInstanceUID) != WELL_KNOWN_INSTANCE:
            return Status.NO_SUCH_INSTANCE, None
        if event.action_type != REQUEST_COMMITMENT:
            return Status.NO_SUCH_ACTION, None
        information = _information(request.ActionInformation, lambda: event.action_information)
        if information is None:
            return Status.INVALID_ARGUMENT, None
        references = tuple(
            Reference(_text(item, "ReferencedSOPClassUID"), _text(item, "ReferencedSOPInstanceUID"))
            for item in items(information, "ReferencedSOPSequence")
        )
        uids = [uid for one in references for uid in (one.sop_class_uid, one.sop_instance_uid)]
        transaction = _text(information, "TransactionUID")
        if not references or not all(_UID.fullmatch(uid) for uid in (transaction, *uids)):
            return Status.INVALID_ARGUMENT, None
        asked = Request(transaction, event.assoc.requestor.ae_title.strip(), references)
        return self._ledger.requested(asked), None


def on_report(reported: Callable[[Report], Status]) -> Handler:
    """A handler of N-EVENT-REPORT that gives what was reported to `reported` and answers what that gives."""

    def handle(event: evt.Event) -> tuple[int, Dataset | None]:
        request: Any = event.request
        if str(request.AffectedSOPInstanceUID) != WELL_KNOWN_INSTANCE:
            return Status.NO_SUCH_INSTANCE, None
        if event.event_type not in (_ALL_COMMITTED, _FAILURES_EXIST):
            return Status.NO_SUCH_EVENT, None
        information = _information(request.EventInformation, lambda: event.event_information)
        if information is None or not (transaction := _text(information, "TransactionUID")):
            return Status.INVALID_ARGUMENT, None
        committed = tuple(
            _text(item, "ReferencedSOPInstanceUID") for item in items(information, "ReferencedSOPSequence")
        )
        failed = {
            _text(item, "ReferencedSOPInstanceUID"): int(next(iter(numbers(item, "FailureReason")), _UNSPECIFIED))
            for item in items(information, "FailedSOPSequence")
        }
        return reported(Report(transaction, committed, failed)), None

    return handle


def notify(peer: Peer, calling: str, transaction_uid: str, outcomes: Sequence[Outcome]) -> None:
    """Report to the peer that asked, by N-EVENT-REPORT on an association of our own.

    Raises Transient when it may work later, Permanent when the peer does not take the report.
    """
    committed, failed = by_outcome(outcomes)
    information = request_of(transaction_uid, [one.reference for one in committed])
    for item, one in zip(information.ReferencedSOPSequence, committed, strict=True):
        item.RetrieveAETitle = one.retrieve_ae_title
    if not committed:
        del information.ReferencedSOPSequence
    if failed:
        information.FailedSOPSequence = [_item(one.reference) for one in failed]
        for item, one in zip(information.FailedSOPSequence, failed, strict=True):
            item.FailureReason = one.failure
    ae = application_entity(peer, calling)
    ae.add_requested_context(PUSH_MODEL, list(UNCOMPRESSED[:2]))
    association = associate(ae, peer, roles=[build_role(PUSH_MODEL, scp_role=True)])
    try:
        kind = _FAILURES_EXIST if failed else _ALL_COMMITTED
        response, _ = association.send_n_event_report(information, kind, PUSH_MODEL, WELL_KNOWN_INSTANCE)
    except RuntimeError as error:
        raise Transient(
            "ASSOCIATION_LOST", Message("the association with {peer} was lost while reporting", peer=peer.name)
        ) from error
    finally:
        if association.is_established:
            association.release()
    if "Status" not in response:
        raise Transient("NO_ANSWER", Message("{peer} did not answer N-EVENT-REPORT", peer=peer.name))
    if response.Status != Status.SUCCESS:
        raise Permanent(
            "REPORT_REFUSED",
            Message(
                "{peer} answered N-EVENT-REPORT with status 0x{status:04X}", peer=peer.name, status=response.Status
            ),
        )


def request_of(transaction_uid: str, references: Sequence[Reference]) -> Dataset:
    """Action Information of a request (PS3.4 table J.3-1)."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_item(reference) for reference in references]
    return information


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _information(encoded: Any, decoded: Callable[[], Dataset]) -> Dataset | None:
    """A peer's data set, read to its last element; None when it is missing, too long, or cannot be read."""
    if encoded is None or encoded.getbuffer().nbytes > _LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote the values that they are about
            information = decoded()
            for _ in information.iterall():
                pass
    except Exception as error:  # noqa: BLE001 - what pydicom makes of a broken data set is not known beforehand
        log.warning("commitment.unreadable", reason=type(error).__name__)
        return None
    return information


def _text(item: Dataset, keyword: str) -> str:
    return next(iter(texts(item, keyword)), "")
