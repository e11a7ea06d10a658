"""Sending documents: Verification and Storage as SCU (PS3.4 annexes A and B)."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider

from cxr_node.dimse import handshake
from cxr_node.dimse.checkpoint import Checkpoint
from cxr_node.dimse.contexts import VERIFICATION
from cxr_node.domain.uid import IMPLEMENTATION_CLASS_UID
from cxr_node.errors import ConfigError, Permanent, Transient
from cxr_node.message import Message

# A document is sent as the bytes that stand in the outbox, never decoded and encoded again (Law 4).
_config.STORE_SEND_CHUNKED_DATASET = True

LOST = ("ASSOCIATION_LOST", "NO_ANSWER")
"""The codes of failures by which an association has ended; whether the peer has the object is not known."""
_DUPLICATE = 0x0111  # PS3.7 C.5.7: the peer has the instance, which is what was wanted
_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})  # PS3.7 annex C; so is everything from 0xB000 to 0xBFFF
_PERMANENT_REJECTION = 0x01


@dataclass(frozen=True, slots=True)
class Peer:
    """A storage SCP. `timeout` in seconds, for connecting and for every answer; `idle`: how many seconds an association
    stays open for the next document, 0 for one document each.

    `tls` makes what an association is secured with, each time from the files as they are then; it raises ConfigError
    where they cannot be used. `tls_name` is what the peer's certificate must be for, where that is not `host`. One with
    a `url` is a DICOMweb server, which nothing here calls; `authorization` is the file with its login.
    """

    name: str
    ae_title: str
    host: str
    port: int
    timeout: float = 30.0
    idle: float = 0.0
    tls: Callable[[], ssl.SSLContext] | None = None
    tls_name: str | None = None
    url: str | None = None
    authorization: Path | None = None


class NoContext(Permanent):
    """A peer accepts none of the presentation contexts that were proposed."""


def echo(peer: Peer, calling: str) -> None:
    """C-ECHO. Raises Transient with what went wrong."""
    ae = application_entity(peer, calling)
    ae.add_requested_context(VERIFICATION)
    association = associate(ae, peer)
    try:
        status = association.send_c_echo()
        if "Status" not in status or status.Status != 0x0000:
            raise Transient(
                "ECHO_FAILED", Message("{peer} accepted the association and did not answer C-ECHO", peer=peer.name)
            )
    finally:
        association.release()


def send(peer: Peer, calling: str, path: Path) -> int:
    """C-STORE the Part 10 file at `path` over an association of its own; the peer's status as `transmit` gives it.

    Raises as `kind_of`, `associate` and `transmit`.
    """
    ae = application_entity(peer, calling)
    ae.add_requested_context(*kind_of(path))
    association = associate(ae, peer)
    try:
        return transmit(association, peer, path)
    finally:
        if association.is_established:
            association.release()


def kind_of(path: Path) -> tuple[UID, UID]:
    """SOP class and transfer syntax of the Part 10 file at `path`. Raises Permanent where it does not say."""
    meta = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]).file_meta
    if "MediaStorageSOPClassUID" not in meta or "TransferSyntaxUID" not in meta:
        raise Permanent(
            "NO_DICOM", Message("{path} has no File Meta that says what it is (PS3.10 7.1)", path=path.name)
        )
    return UID(meta.MediaStorageSOPClassUID), UID(meta.TransferSyntaxUID)


def transmit(association: Association, peer: Peer, path: Path) -> int:
    """C-STORE the file over an association that takes it; the peer's status, success or warning (PS3.4 B.2.3).

    Raises Transient when it may work later (LOST: the association has ended), Permanent when the peer does not take
    this object.
    """
    try:
        response = association.send_c_store(path)
    except RuntimeError as error:
        raise Transient(
            "ASSOCIATION_LOST", Message("the association with {peer} was lost while sending", peer=peer.name)
        ) from error
    if "Status" not in response:
        raise Transient("NO_ANSWER", Message("{peer} did not answer C-STORE", peer=peer.name))
    return _judged(int(response.Status), peer)


def accepted(peer: Peer, calling: str, sop_classes: Sequence[str]) -> Sequence[str]:
    """Which of these SOP classes the peer takes in Explicit VR Little Endian; nothing is sent.

    Raises Transient when it may work later, NoContext when it takes none of them.
    """
    ae = application_entity(peer, calling)
    for sop_class in sop_classes:
        ae.add_requested_context(sop_class, ExplicitVRLittleEndian)
    association = associate(ae, peer)
    taken = {str(context.abstract_syntax) for context in association.accepted_contexts}
    association.release()
    return [sop_class for sop_class in sop_classes if sop_class in taken]


def _judged(status: int, peer: Peer) -> int:
    if status in (0x0000, _DUPLICATE) or status in _WARNINGS or status >> 12 == 0xB:
        return status
    answer = Message("{peer} answered C-STORE with status 0x{status:04X}", peer=peer.name, status=status)
    if status >> 8 == 0xA7:
        raise Transient("PEER_OUT_OF_RESOURCES", Message("{answer}: out of resources", answer=answer))
    if status == 0x0110:
        raise Transient("PEER_FAULT", Message("{answer}: processing failure", answer=answer))
    raise Permanent("PEER_REFUSED", Message("{answer}: it does not take this object", answer=answer))


def application_entity(peer: Peer, calling: str) -> AE:
    """This node as it calls a peer; what is proposed is to be added."""
    ae = AE(ae_title=calling)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.connection_timeout = min(peer.timeout, 10.0)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = peer.timeout
    return ae


def associate(
    ae: AE, peer: Peer, handlers: Sequence[evt.EventHandlerType] = (), roles: Sequence[Any] = ()
) -> Association:
    """An association with a peer; `roles` are what the node proposes to be (PS3.7 D.3.3.4).

    Raises NoContext, or Transient with what went wrong.
    """
    bound: list[Any] = [
        *handlers,
        (evt.EVT_CONN_OPEN, _connected, [peer.timeout]),
        (evt.EVT_DATA_SENT, _quick_acknowledgement),
    ]
    where = Message(
        "{peer} ({ae_title} at {host}:{port})", peer=peer.name, ae_title=peer.ae_title, host=peer.host, port=peer.port
    )
    failures: list[OSError] = []
    try:
        with _nothing_left_behind(ae):
            association = ae.associate(
                peer.host,
                peer.port,
                ae_title=peer.ae_title,
                evt_handlers=bound,
                ext_neg=list(roles),
                tls_args=_tls_args(peer, failures),
            )
    except OSError as error:  # its name does not resolve
        raise Transient(
            "UNREACHABLE", Message("no association with {where}: {error}", where=where, error=error.strerror)
        ) from error
    if association.is_established:
        Checkpoint.put_in(association)
        return association
    if failures:
        raise Transient(
            "TLS_FAILED",
            Message("no TLS with {where}: {why}", where=where, why=handshake.sentence(failures[0])),
        )
    if association.rejected_contexts:
        refused: Any = association.rejected_contexts[0]
        raise no_context(peer, refused.abstract_syntax, *refused.transfer_syntax[:1])
    if not association.is_rejected:
        raise Transient(
            "UNREACHABLE", Message("no association with {where}: not reachable, or it broke off", where=where)
        )
    answer: Any = association.acceptor.primitive
    why = Message("{where} rejected the association: {reason}", where=where, reason=answer.reason_str)
    if answer.result == _PERMANENT_REJECTION:
        why = Message("{why}; is the node's AE title known there?", why=why)
    raise Transient("REJECTED", why)


def no_context(peer: Peer, sop_class: UID, transfer_syntax: UID | None = None) -> NoContext:
    """That a peer does not take a SOP class, in this transfer syntax or in any."""
    syntax = transfer_syntax.name if transfer_syntax else Message("any transfer syntax")
    why = Message("{peer} accepts no {sop_class} in {syntax}", peer=peer.name, sop_class=sop_class.name, syntax=syntax)
    return NoContext("NO_CONTEXT", why)


@contextmanager
def _nothing_left_behind(ae: AE) -> Iterator[None]:
    """What interrupts a negotiation ends its thread, too: pynetdicom leaves that alone, and no process would end."""
    with ExitStack() as interrupted:
        interrupted.callback(_end_threads, ae)
        yield
        interrupted.pop_all()


def _end_threads(ae: AE) -> None:
    for thread in threading.enumerate():
        if isinstance(thread, DULServiceProvider) and thread.assoc.ae is ae:
            thread.kill_dul()


def _tls_args(peer: Peer, failures: list[OSError]) -> tuple[ssl.SSLContext, str] | None:
    """What pynetdicom wants for TLS; what then goes wrong, which it does not tell, is put into `failures`."""
    if peer.tls is None:
        return None
    try:
        return handshake.telling(peer.tls(), failures), peer.tls_name or peer.host
    except ConfigError as error:  # it was sound when the node started; someone is renewing it
        raise Transient("TLS_FAILED", error.message) from error


def _connected(event: evt.Event, timeout: float) -> None:
    """Prepare the socket, which pynetdicom leaves without a time-out: a peer that stops reading would hold us for ever.

    Nagle's algorithm and delayed acknowledgements together cost 80 ms a C-STORE: switch off the first ...
    """
    if connection := _socket(event):
        connection.settimeout(timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _quick_acknowledgement(event: evt.Event) -> None:
    """... and the second, which Linux switches on again by itself after every exchange."""
    if connection := _socket(event):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _socket(event: evt.Event) -> socket.socket | None:
    transport: Any = event.assoc.dul.socket
    return transport.socket if transport is not None else None
