"""Destinations, whichever way they are reached: by DIMSE, or by HTTP (DICOMweb)."""

from collections.abc import Sequence
from pathlib import Path

from cxr_node.dicomweb import client
from cxr_node.dicomweb.client import ClassRefused, Server
from cxr_node.dimse import inquiry, sender
from cxr_node.dimse.courier import Courier
from cxr_node.dimse.inquiry import Asking, Queried
from cxr_node.dimse.sender import NoContext, Peer
from cxr_node.domain.commitment import Held, Reference, Reply
from cxr_node.errors import Permanent, Transient


def send(peer: Peer, courier: Courier, path: Path) -> int:
    """Send a document; the status or warning of the peer. Raises as `Courier.send`."""
    if (server := server_of(peer)) is None:
        return courier.send(peer, path)
    try:
        return client.store(server, path)
    except ClassRefused as error:
        raise NoContext(error.code, error.message) from error


def accepted(peer: Peer, calling: str, sop_classes: Sequence[str]) -> Sequence[str]:
    """Which of these SOP classes a peer takes; a DICOMweb server says so only when it is sent one."""
    return sop_classes if peer.url else sender.accepted(peer, calling, sop_classes)


def inquire(
    peer: Peer, calling: str, references: Sequence[Reference], queried: Queried, asking: Asking | None = None
) -> Reply:
    """Whether a peer keeps instances. Of a DICOMweb server, which has no commitment, each is looked up by QIDO-RS."""
    if (server := server_of(peer)) is None:
        return inquiry.inquire(peer, calling, references, queried, asking)
    held: dict[str, Held | None] = {}
    for one in references:
        queried(peer, inquiry.as_query(one))
        found = client.holds(server, one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid)
        held[one.sop_instance_uid] = Held(one.sop_class_uid, peer.ae_title) if found else None
    return Reply(refusal=inquiry.not_offered(peer) if asking else None, held=held)


def has(peer: Peer, calling: str, reference: Reference, queried: Queried) -> bool:
    """Whether a peer says that it has an instance; one that answers no such queries does not. Raises Transient."""
    try:
        held = inquire(peer, calling, [reference], queried).held or {}
    except Permanent:
        return False
    found = held.get(reference.sop_instance_uid)
    return found is not None and found.sop_class_uid in ("", reference.sop_class_uid)


def reaches(peer: Peer, calling: str) -> str | None:
    """Why a peer does not answer C-ECHO, or a search; None when it does."""
    try:
        if (server := server_of(peer)) is not None:
            client.reach(server)
        else:
            sender.echo(peer, calling)
    except (Transient, Permanent) as error:
        return error.message
    return None


def server_of(peer: Peer) -> Server | None:
    """The DICOMweb server that a peer is, if it is one."""
    if peer.url is None:
        return None
    return Server(peer.name, peer.url, peer.timeout, peer.authorization, peer.tls)
