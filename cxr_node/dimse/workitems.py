"""Unified Procedure Step as SCP (PS3.4 annex CC): Push, Pull, Watch and Query, and our reports to who subscribed.

What peers send is read whole before anything is done with it, and nothing of it is logged.
"""

import re
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.presentation import PresentationContext

from cxr_node.dimse.connections import keep_pace
from cxr_node.dimse.contexts import UNCOMPRESSED
from cxr_node.dimse.sender import Peer, application_entity, associate
from cxr_node.domain import dicom_json
from cxr_node.domain.dicom_json import Attributes
from cxr_node.domain.reading_step import PUSH
from cxr_node.domain.workitem import Action, Asked, Caller, Event, Reply, Status, Workitems
from cxr_node.errors import Transient
from cxr_node.message import Message

log = structlog.get_logger()

WATCH = "1.2.840.10008.5.1.4.34.6.2"
PULL = "1.2.840.10008.5.1.4.34.6.3"
EVENT = "1.2.840.10008.5.1.4.34.6.4"
QUERY = "1.2.840.10008.5.1.4.34.6.5"
MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"

_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
_LONGEST = 1 << 20  # bytes of a data set
_PENDING, _CANCELED, _NO_MATCHING, _OUT_OF_RESOURCES = 0xFF00, 0xFE00, 0xA900, 0xA700
_CHARACTERS = "00080005"
_UNICODE = dicom_json.element("CS", "ISO_IR 192")

# PS3.4 tables CC.2-1 to CC.2-5: what is asked in which SOP class. N-GET is in all of them.
_CREATES, _SETS, _FINDS = (PUSH,), (PULL,), (PULL, WATCH, QUERY)
_ACTIONS: Mapping[int, Sequence[str]] = {
    Action.CHANGE_STATE: (PULL,),
    Action.REQUEST_CANCEL: (PUSH, WATCH),
    Action.SUBSCRIBE: (WATCH,),
    Action.UNSUBSCRIBE: (WATCH,),
    Action.SUSPEND: (WATCH,),
}

Answer = tuple[Dataset, Dataset | None]
Found = Iterator[tuple[int | Dataset, Dataset | None]]


def offered() -> list[PresentationContext]:
    """What the service accepts."""
    return [build_context(uid, list(UNCOMPRESSED[:2])) for uid in (PUSH, PULL, WATCH, QUERY)]


def offered_worklist() -> list[PresentationContext]:
    """What the view of a Modality Worklist accepts."""
    return [build_context(MODALITY_WORKLIST, list(UNCOMPRESSED[:2]))]


class UnifiedProcedureStep:
    """The service in the listener; what is asked goes to `workitems`."""

    def __init__(self, workitems: Workitems) -> None:
        self._workitems = workitems

    def contexts(self) -> Sequence[PresentationContext]:
        return offered()

    def handlers(self) -> Sequence[evt.EventHandlerType]:
        return [
            (evt.EVT_N_CREATE, self._create),
            (evt.EVT_N_GET, self._get),
            (evt.EVT_N_SET, self._set),
            (evt.EVT_N_ACTION, self._act),
            (evt.EVT_C_FIND, self._find),
        ]

    def _create(self, event: evt.Event) -> Answer:
        request: Any = event.request
        uid, encoded = request.AffectedSOPInstanceUID, request.AttributeList

        def work(caller: Caller) -> Reply:
            return self._workitems.create(str(uid), _read(encoded, lambda: event.attribute_list), caller)

        return _answered(event, uid, _CREATES, work)

    def _get(self, event: evt.Event) -> Answer:
        request: Any = event.request

        def work(caller: Caller) -> Reply:
            tags = [f"{tag:08X}" for tag in event.attribute_identifiers]
            return self._workitems.get(str(request.RequestedSOPInstanceUID), tags, caller)

        return _answered(event, request.RequestedSOPInstanceUID, (PUSH, PULL, WATCH, QUERY), work)

    def _set(self, event: evt.Event) -> Answer:
        request: Any = event.request
        uid, encoded = request.RequestedSOPInstanceUID, request.ModificationList

        def work(caller: Caller) -> Reply:
            return self._workitems.set(str(uid), _read(encoded, lambda: event.modification_list), caller)

        return _answered(event, uid, _SETS, work)

    def _act(self, event: evt.Event) -> Answer:
        request: Any = event.request
        uid, action, encoded = request.RequestedSOPInstanceUID, event.action_type, request.ActionInformation
        if action is None or action not in _ACTIONS:
            return _status(Reply(Status.NO_SUCH_ACTION, "Action Type ID is 1 to 5")), None

        def work(caller: Caller) -> Reply:
            return self._workitems.act(str(uid), action, _read(encoded, lambda: event.action_information), caller)

        return _answered(event, uid, _ACTIONS[action], work)

    def _find(self, event: evt.Event) -> Found:
        if event.context.abstract_syntax in _FINDS:
            return _answers(event, self._workitems.find)
        return iter([(_NO_MATCHING, None)])


class ModalityWorklist:
    """The studies that wait as a Modality Worklist (PS3.4 annex K): a view, in which nothing can be changed."""

    def __init__(self, workitems: Workitems) -> None:
        self._workitems = workitems

    def contexts(self) -> Sequence[PresentationContext]:
        return offered_worklist()

    def handlers(self) -> Sequence[evt.EventHandlerType]:
        return [(evt.EVT_C_FIND, lambda event: _answers(event, self._workitems.find_scheduled))]


def _answers(event: evt.Event, find: Callable[[Attributes, Caller, Asked], Iterator[Attributes]]) -> Found:
    request: Any = event.request
    try:
        query = dicom_json.without(_read(request.Identifier, lambda: event.identifier), [_CHARACTERS])
    except _Unreadable as error:
        yield _status(Reply(Status.PROCESSING_FAILURE, error.sentence), _NO_MATCHING), None
        return
    try:
        for found in find(query, _caller(event), _asked(event)):
            keep_pace(event.assoc)
            if event.is_cancelled:
                yield _CANCELED, None
                return
            yield _PENDING, _written(found)
    except Transient as error:
        yield _status(Reply(Status.RESOURCE_LIMITATION, error.message[:64]), _OUT_OF_RESOURCES), None
    # What the node does not foresee is its own fault, and its log is to say so: pynetdicom, whose own log is off since
    # it quotes what was sent, would answer the workstation and tell nobody.
    except Exception:
        log.exception("workitem.fault", calling=_title(event))
        yield _status(Reply(Status.PROCESSING_FAILURE, "internal error of the node; see its log"), 0xC000), None


class _Unreadable(Exception):
    """A data set that cannot be taken; the sentence says why, without anything in it."""

    def __init__(self, sentence: str, status: Status = Status.PROCESSING_FAILURE) -> None:
        super().__init__(sentence)
        self.sentence, self.status = sentence, status


def _answered(event: evt.Event, uid: Any, classes: Sequence[str], work: Callable[[Caller], Reply]) -> Answer:
    reply = _reply(event, str(uid or ""), classes, work)
    return _status(reply), None if reply.attributes is None else _written(reply.attributes)


def _reply(event: evt.Event, uid: str, classes: Sequence[str], work: Callable[[Caller], Reply]) -> Reply:
    if event.context.abstract_syntax not in classes:
        return Reply(Status.UNRECOGNISED, "not in this SOP class (PS3.4 tables CC.2-1 to CC.2-5)")
    if not _UID.fullmatch(uid):
        return Reply(Status.INVALID_INSTANCE, "the SOP Instance UID is missing or no UID")
    try:
        return work(_caller(event))
    except _Unreadable as error:
        return Reply(error.status, error.sentence)
    except Exception:  # as in _answers
        log.exception("workitem.fault", calling=_title(event))
        return Reply(Status.PROCESSING_FAILURE, "internal error of the node; see its log")


def _caller(event: evt.Event) -> Caller:
    """No user of the web page can have such a name: it has a space in it."""
    title = _title(event)
    return Caller(f"{title} (UPS)", title, event.assoc.requestor.address or "")


def _asked(event: evt.Event) -> Asked:
    request: Any = event.request
    identifier = b64encode(request.Identifier.getvalue()).decode()
    return Asked(identifier, str(event.context.transfer_syntax), str(event.context.abstract_syntax))


def _title(event: evt.Event) -> str:
    return str(event.assoc.requestor.ae_title).strip()


def _read(encoded: Any, decoded: Callable[[], Dataset]) -> Attributes:
    """A peer's data set in the JSON model; empty where none was sent. Raises _Unreadable."""
    if encoded is None:
        return {}
    if encoded.getbuffer().nbytes > _LONGEST:
        raise _Unreadable(f"the data set is longer than {_LONGEST} bytes", Status.RESOURCE_LIMITATION)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote the values that they are about
            found: Attributes = decoded().to_json_dict()
    except Exception as error:  # what pydicom makes of a broken data set is not known beforehand
        log.warning("workitem.unreadable", reason=type(error).__name__)
        raise _Unreadable("the data set cannot be read") from error
    if why := dicom_json.fault(found):
        raise _Unreadable(why[:64])
    return found


def _written(attributes: Attributes) -> Dataset:
    """A data set of ours, in Unicode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above: what a film or a peer said is passed on as it is
        return Dataset.from_json({**attributes, _CHARACTERS: _UNICODE})


def _status(reply: Reply, code: int | None = None) -> Dataset:
    response = Dataset()
    response.Status = int(reply.status) if code is None else code
    if reply.comment:
        response.ErrorComment = reply.comment[:64]
    return response


def tell(peer: Peer, calling: str, reports: Iterable[tuple[int, str, Event, Attributes]]) -> Iterator[tuple[int, int]]:
    """Report to a subscriber, on an association of our own; each report's number, and what the peer answered to it.

    Raises Transient when it may work later; what was given so far, the peer has.
    """
    ae = application_entity(peer, calling)
    ae.add_requested_context(EVENT, list(UNCOMPRESSED[:2]))
    association = associate(ae, peer, roles=[build_role(EVENT, scp_role=True)])
    try:
        for number, uid, event, information in reports:
            response, _ = association.send_n_event_report(_written(information), int(event), PUSH, uid, meta_uid=EVENT)
            if "Status" not in response:
                raise Transient("NO_ANSWER", Message("{name} did not answer N-EVENT-REPORT", name=peer.name))
            yield number, int(response.Status)
    except RuntimeError as error:
        raise Transient(
            "ASSOCIATION_LOST", Message("the association with {name} was lost while reporting", name=peer.name)
        ) from error
    finally:
        if association.is_established:
            association.release()
