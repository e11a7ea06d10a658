"""Asking a peer whether it keeps what it was sent: storage commitment (PS3.4 annex J) and C-FIND (PS3.4 C.4.1)."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dsutils import encode

from cxr_node.dimse.commitment import PUSH_MODEL, REQUEST_COMMITMENT, WELL_KNOWN_INSTANCE, on_report, request_of
from cxr_node.dimse.contexts import UNCOMPRESSED
from cxr_node.dimse.sender import NoContext, Peer, application_entity, associate
from cxr_node.domain.commitment import Held, Query, Reference, Reply, Report, Status
from cxr_node.errors import Permanent, Transient
from cxr_node.imaging.header import texts
from cxr_node.message import Message

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_PENDING = (0xFF00, 0xFF01)
_LATER = (Status.PROCESSING_FAILURE, Status.RESOURCE_LIMITATION)
_MOST_MATCHES = 100  # of a query for one instance; a peer that sends more does not look at the query
_QUERYING_SECONDS = 60.0  # after which no further instance is asked about


@dataclass(frozen=True, slots=True)
class Asking:
    """How commitment is asked for.

    `begin` gives the Transaction UID, which is on record by then; `reported` takes a report that comes on the same
    association, which is kept open for it for `linger` seconds.
    """

    begin: Callable[[], str]
    reported: Callable[[Report], Status]
    linger: float = 2.0


Queried = Callable[[Peer, Query], None]
"""Records a query, which leaves only afterwards."""


def inquire(
    peer: Peer, calling: str, references: Sequence[Reference], queried: Queried, asking: Asking | None = None
) -> Reply:
    """With `asking`, ask for commitment; without, or where the peer refuses that, look for each instance by C-FIND.

    Raises Transient when it may work later.
    """
    heard, answered = threading.Event(), threading.Event()

    def reported(report: Report) -> Status:
        status = asking.reported(report) if asking else Status.INVALID_ARGUMENT
        heard.set()
        return status

    def sent(_: evt.Event) -> None:
        if heard.is_set():  # we send nothing else before the release, so this is our answer to the report
            answered.set()

    ae = application_entity(peer, calling)
    for model in (PUSH_MODEL, STUDY_ROOT_FIND) if asking else (STUDY_ROOT_FIND,):
        ae.add_requested_context(model, list(UNCOMPRESSED[:2]))
    refusal: Permanent | Transient | None = None
    try:
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, on_report(reported)), (evt.EVT_PDU_SENT, sent)]
        association = associate(ae, peer, handlers=handlers)
    except NoContext:
        return Reply(refusal=not_offered(peer) if asking else None)
    try:
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        if asking:
            refusal = _ask(association, peer, references, asking) if PUSH_MODEL in accepted else not_offered(peer)
            if refusal is None:
                _linger(association, answered, asking.linger)
                return Reply(asked=True)
        held = _look(association, peer, references, queried) if STUDY_ROOT_FIND in accepted else None
    except RuntimeError as error:
        raise Transient(
            "ASSOCIATION_LOST", Message("the association with {peer} was lost while asking", peer=peer.name)
        ) from error
    finally:
        if association.is_established:
            association.release()
    return Reply(refusal=refusal, held=held)


def _ask(
    association: Association, peer: Peer, references: Sequence[Reference], asking: Asking
) -> Permanent | Transient | None:
    """N-ACTION; why the peer does not take the request, None when it does."""
    request = request_of(asking.begin(), references)
    response, _ = association.send_n_action(request, REQUEST_COMMITMENT, PUSH_MODEL, WELL_KNOWN_INSTANCE)
    if "Status" not in response:
        raise Transient("NO_ANSWER", Message("{peer} did not answer N-ACTION", peer=peer.name))
    if response.Status == Status.SUCCESS:
        return None
    answer = Message(
        "{peer} answered the request for commitment with status 0x{status:04X}",
        peer=peer.name,
        status=response.Status,
    )
    if response.Status in _LATER:
        return Transient("COMMITMENT_REFUSED", answer)
    why = Message("{answer}; is this node known there, with its host and port?", answer=answer)
    return Permanent("COMMITMENT_REFUSED", why)


def _linger(association: Association, answered: threading.Event, seconds: float) -> None:
    """Some peers report at once, on the association on which they were asked; it stays until they have our answer."""
    until = time.monotonic() + seconds
    while association.is_established and time.monotonic() < until and not answered.wait(0.05):
        pass


def _look(
    association: Association, peer: Peer, references: Sequence[Reference], queried: Queried
) -> Mapping[str, Held | None] | None:
    """What the peer holds; None when it does not answer such queries."""
    held: dict[str, Held | None] = {}
    until = time.monotonic() + _QUERYING_SECONDS
    for reference in references:
        if time.monotonic() > until:
            break
        try:
            held[reference.sop_instance_uid] = _find(association, peer, reference, queried)
        except _Refused:
            if reference.study_instance_uid:
                return None
            held[reference.sop_instance_uid] = None  # not every peer looks for an instance whose study is not named
    return held


class _Refused(Exception):
    """The peer answers C-FIND with a failure."""


def _find(association: Association, peer: Peer, reference: Reference, queried: Queried) -> Held | None:
    query = _query(reference)
    queried(peer, _told(association, query, reference))
    found: Held | None = None
    responses = association.send_c_find(query, STUDY_ROOT_FIND)
    for count, (response, identifier) in enumerate(responses):
        status: Any = response.get("Status")
        if status is None:
            raise Transient("NO_ANSWER", Message("{peer} did not answer C-FIND", peer=peer.name))
        if count > _MOST_MATCHES:
            association.abort()
            raise Transient(
                "QUERY_IGNORED", Message("{peer} answers a query for one instance with many others", peer=peer.name)
            )
        if status in _PENDING:
            if identifier and reference.sop_instance_uid in texts(identifier, "SOPInstanceUID"):
                found = _held(identifier, peer)
        elif status >> 8 == 0xA7:
            raise Transient(
                "PEER_OUT_OF_RESOURCES",
                Message("{peer} answered C-FIND with status 0x{status:04X}", peer=peer.name, status=status),
            )
        elif status != Status.SUCCESS:
            raise _Refused
    return found


def _query(reference: Reference) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    if reference.study_instance_uid:
        query.StudyInstanceUID = reference.study_instance_uid
        query.SeriesInstanceUID = reference.series_instance_uid
    query.SOPInstanceUID = reference.sop_instance_uid
    query.SOPClassUID = query.RetrieveAETitle = ""
    return query


def as_query(reference: Reference) -> Query:
    """A search for an instance that goes another way, as the C-FIND that asks the same."""
    identifier = encode(_query(reference), is_implicit_vr=False, is_little_endian=True)
    assert identifier is not None  # noqa: S101 - a query of ours has nothing that cannot be encoded
    return Query(reference, identifier, str(ExplicitVRLittleEndian), STUDY_ROOT_FIND)


def not_offered(peer: Peer) -> Permanent:
    """A peer has no storage commitment."""
    return Permanent("NO_COMMITMENT", Message("{peer} does not offer storage commitment", peer=peer.name))


def _told(association: Association, query: Dataset, reference: Reference) -> Query:
    """The query as it will go over this association."""
    syntax = next(
        context.transfer_syntax[0]
        for context in association.accepted_contexts
        if context.abstract_syntax == STUDY_ROOT_FIND
    )
    identifier = encode(query, syntax.is_implicit_VR, syntax.is_little_endian)
    assert identifier is not None  # noqa: S101 - a query of ours has nothing that cannot be encoded
    return Query(reference, identifier, str(syntax), STUDY_ROOT_FIND)


def _held(identifier: Dataset, peer: Peer) -> Held:
    """Retrieve AE Title may have several values: the first; a peer that gives none is taken to be the place itself."""
    title = next(iter(texts(identifier, "RetrieveAETitle")), "")
    sop_class = next(iter(texts(identifier, "SOPClassUID")), "")
    return Held(sop_class, title if 0 < len(title) <= 16 else peer.ae_title)
