"""Modality Performed Procedure Step as SCP (PS3.4 annex F): X-ray machines tell when they begin and when they are done.

What they send is read warily: an attribute that cannot be read counts as absent.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pynetdicom import build_context, evt
from pynetdicom.presentation import PresentationContext

from cxr_node.dimse.contexts import UNCOMPRESSED
from cxr_node.domain.step import WRONG_ENTRY, Listed, Reason, Reply, Statement, Status, Steps
from cxr_node.imaging.header import items, texts

log = structlog.get_logger()

PERFORMED_PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"
_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
_LONGEST = 1 << 20  # bytes of a data set; a step of a thousand images has a tenth of it
_MOST_STUDIES = 100  # one step for the orders of one patient's visit
_LIST_OF = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")


def offered() -> list[PresentationContext]:
    """What the service accepts."""
    return [build_context(PERFORMED_PROCEDURE_STEP, list(UNCOMPRESSED))]


class PerformedProcedureStep:
    """The service in the listener; what it is told goes to `steps`."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def contexts(self) -> Sequence[PresentationContext]:
        return offered()

    def handlers(self) -> Sequence[evt.EventHandlerType]:
        return [(evt.EVT_N_CREATE, self._created), (evt.EVT_N_SET, self._changed)]

    def _created(self, event: evt.Event) -> tuple[Dataset, None]:
        request: Any = event.request
        uid = request.AffectedSOPInstanceUID
        return _answered(event, lambda: event.attribute_list, request.AttributeList, uid, self._steps.create)

    def _changed(self, event: evt.Event) -> tuple[Dataset, None]:
        request: Any = event.request
        uid = request.RequestedSOPInstanceUID
        return _answered(event, lambda: event.modification_list, request.ModificationList, uid, self._steps.change)


def _answered(
    event: evt.Event, decoded: Callable[[], Dataset], encoded: Any, uid: Any, tell: Callable[[Statement], Reply]
) -> tuple[Dataset, None]:
    calling = event.assoc.requestor.ae_title.strip()
    # Whatever the node does not foresee is its own fault, and the log is to say so: pynetdicom, whose own log is off
    # since it quotes what was sent, would answer the machine and tell nobody.
    try:
        reply = _reply(decoded, encoded, str(uid or ""), calling, tell)
    except Exception:
        log.exception("step.fault", calling=calling)
        reply = Reply(Status.PROCESSING_FAILURE, "internal error of the node; see its log")
    if reply.status is not Status.SUCCESS:
        log.warning("step.refused", status=f"0x{reply.status:04X}", reason=reply.comment, calling=calling)
    return _status(reply), None


def _reply(
    decoded: Callable[[], Dataset], encoded: Any, uid: str, calling: str, tell: Callable[[Statement], Reply]
) -> Reply:
    if not _UID.fullmatch(uid):
        return Reply(Status.INVALID_INSTANCE, "the SOP Instance UID of the step is missing or no UID")
    if encoded is not None and encoded.getbuffer().nbytes > _LONGEST:
        return Reply(Status.RESOURCE_LIMITATION, f"the data set is longer than {_LONGEST} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote the values that they are about
            said = _read(decoded() if encoded is not None else Dataset(), uid, calling)
    except Exception as error:  # noqa: BLE001 - what pydicom makes of a broken data set is not known beforehand
        log.warning("step.unreadable", reason=type(error).__name__, calling=calling)
        return Reply(Status.PROCESSING_FAILURE, "the data set cannot be read")
    if said.studies and len(said.studies) > _MOST_STUDIES:
        return Reply(Status.RESOURCE_LIMITATION, f"the step names more than {_MOST_STUDIES} studies")
    return tell(said)


def _read(dataset: Dataset, uid: str, calling: str) -> Statement:
    return Statement(
        sop_instance_uid=uid,
        calling_ae_title=calling,
        status=_status_said(dataset),
        studies=_studies(dataset),
        instances=tuple(_instances(dataset)),
        reason=_reason(dataset),
    )


def _status_said(dataset: Dataset) -> str | None:
    if "PerformedProcedureStepStatus" not in dataset:
        return None
    return _text(dataset, "PerformedProcedureStepStatus").upper()


def _studies(dataset: Dataset) -> tuple[str, ...] | None:
    if "ScheduledStepAttributesSequence" not in dataset:
        return None
    named = (_text(item, "StudyInstanceUID") for item in items(dataset, "ScheduledStepAttributesSequence"))
    return tuple(dict.fromkeys(uid for uid in named if _UID.fullmatch(uid)))


def _instances(dataset: Dataset) -> Iterator[Listed]:
    """What is listed; an instance whose UID cannot be read counts as one that never comes."""
    for series in items(dataset, "PerformedSeriesSequence"):
        for keyword in _LIST_OF:
            for item in items(series, keyword):
                yield Listed(_text(item, "ReferencedSOPClassUID")[:64], _text(item, "ReferencedSOPInstanceUID")[:64])


def _reason(dataset: Dataset) -> Reason | None:
    """The reason that matters most, where a machine gives several."""
    given = [
        Reason(_text(item, "CodeValue")[:16], _text(item, "CodingSchemeDesignator")[:16])
        for item in items(dataset, "PerformedProcedureStepDiscontinuationReasonCodeSequence")
    ]
    return WRONG_ENTRY if WRONG_ENTRY in given else next(iter(given), None)


def _text(dataset: Dataset, keyword: str) -> str:
    return next(iter(texts(dataset, keyword)), "")


def _status(reply: Reply) -> Dataset:
    response = Dataset()
    response.Status = int(reply.status)
    if reply.comment:
        response.ErrorComment = reply.comment
    if reply.error_id is not None:
        response.ErrorID = reply.error_id
    return response
