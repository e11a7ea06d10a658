"""Documents sent over associations that are kept: the heat map follows the report, and studies come in crowds.

To open and release an association takes longer than a report does.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom.association import Association

from cxr_node.dimse.sender import LOST, Peer, application_entity, associate, kind_of, no_context, transmit
from cxr_node.errors import Transient

Kind = tuple[UID, UID]
"""SOP class and transfer syntax."""

_LEAVING_SECONDS = 1.0  # for each destination's answer; the process is ending


class Courier:
    """Sends documents as `calling`; for use by several threads.

    Each association proposes `sop_classes` in Explicit VR Little Endian, and what its first document needs. After a
    document it is kept for the next one, as long as `Peer.idle` says.
    """

    def __init__(self, calling: str, sop_classes: Sequence[str]) -> None:
        self._calling = calling
        self._kinds: list[Kind] = [(UID(one), ExplicitVRLittleEndian) for one in sop_classes]
        self._lock = threading.Lock()
        self._kept: dict[Peer, tuple[Association, threading.Timer]] = {}

    def send(self, peer: Peer, path: Path) -> int:
        """C-STORE the Part 10 file at `path`; the peer's status, success or warning (PS3.4 B.2.3).

        A peer may end an association that lies idle whenever it likes: then the document goes over a new one, and where
        the peer had it already, it gets it twice, as after every lost answer. Raises as `sender.send`.
        """
        kind = kind_of(path)
        kept = self._take(peer)
        if kept is not None:
            try:
                return self._over(kept, peer, kind, path)
            except Transient as failure:
                if failure.code not in LOST:
                    raise
        return self._over(self._open(peer, kind), peer, kind, path)

    def close(self) -> None:
        """Release what is kept; a peer that does not answer is not waited for."""
        with self._lock:
            kept, self._kept = self._kept, {}
        for association, timer in kept.values():
            timer.cancel()
            association.acse_timeout = _LEAVING_SECONDS
            association.release()

    def _open(self, peer: Peer, kind: Kind) -> Association:
        ae = application_entity(peer, self._calling)
        for one in dict.fromkeys([kind, *self._kinds]):  # what is refused for all is told of the first
            ae.add_requested_context(*one)
        return associate(ae, peer)

    def _over(self, association: Association, peer: Peer, kind: Kind, path: Path) -> int:
        """Send over an association, and keep it, whatever the answer was."""
        try:
            if kind not in _taken(association):
                raise no_context(peer, *kind)
            return transmit(association, peer, path)
        except Transient as failure:
            if failure.code in LOST:
                association.abort()  # it may not know yet that it is
            raise
        finally:
            if association.is_established:
                self._keep(peer, association)

    def _take(self, peer: Peer) -> Association | None:
        """The association that is kept for a peer, if it still stands; it is the caller's now."""
        with self._lock:
            association, timer = self._kept.pop(peer, (None, None))
        if association is None or timer is None:
            return None
        timer.cancel()
        return association if association.is_established else None

    def _keep(self, peer: Peer, association: Association) -> None:
        """Keep an association for the next document; one is enough."""
        timer = threading.Timer(peer.idle, self._expire, (peer, association))
        timer.daemon = True  # an idle association does not hold up the end of the process
        with self._lock:
            keeps = peer.idle > 0 and peer not in self._kept
            if keeps:
                self._kept[peer] = association, timer
                timer.start()
        if not keeps:
            association.release()

    def _expire(self, peer: Peer, association: Association) -> None:
        """Nothing more has come for it: release it, unless somebody has taken it in this moment."""
        with self._lock:
            kept, _ = self._kept.get(peer, (None, None))
            if kept is not association:
                return
            del self._kept[peer]
        association.release()


def _taken(association: Association) -> set[Kind]:
    """What the peer takes over an association."""
    return {
        (UID(context.abstract_syntax), UID(context.transfer_syntax[0]))
        for context in association.accepted_contexts
        if context.abstract_syntax and context.transfer_syntax
    }
