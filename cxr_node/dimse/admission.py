"""Who gets an association, decided from what is asked for (PS3.8 9.3.4)."""

import threading
import weakref
from dataclasses import dataclass
from typing import Any

import structlog
from pynetdicom import evt
from pynetdicom.association import Association

from cxr_node.dimse import contexts
from cxr_node.dimse.endpoint import Endpoint
from cxr_node.domain.callers import Refusals

log = structlog.get_logger()

_KEPT_SHARE = 8  # one place in so many is kept for callers that send no objects
_MOST_CONTEXTS = 128  # their numbers are the odd ones up to 255 (PS3.8 9.3.2.2)
_OBJECTS = frozenset({*contexts.FILMS, *contexts.ALONG_THE_WAY})


@dataclass(frozen=True, slots=True)
class Rejection:
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21), and a sentence for the log."""

    codes: tuple[int, int, int]
    sentence: str


CALLED = Rejection((1, 1, 7), "it calls another AE title than node.ae_title")
CALLING = Rejection((1, 1, 3), "its AE title is not in receive.allowed_ae_titles")
CONTEXTS = Rejection((1, 1, 1), f"it proposes more than {_MOST_CONTEXTS} presentation contexts")
FULL = Rejection((2, 3, 2), "every place of receive.max_associations is taken")
FULL_FOR_OBJECTS = Rejection((2, 3, 2), "every place of receive.max_associations for senders of objects is taken")


class Admission:
    """The places of a listener.

    Senders of objects leave an eighth of the places to others, so that queries, commitment and C-ECHO are served while
    a hundred machines send. Both are rejected for the moment only: a sender tries again.
    """

    def __init__(self, endpoint: Endpoint, refusals: Refusals) -> None:
        self._endpoint, self._refusals = endpoint, refusals
        self._taken: weakref.WeakSet[Association] = weakref.WeakSet()
        self._lock = threading.Lock()

    def requested(self, event: evt.Event) -> None:
        """Let negotiation go on, or reject the association (EVT_REQUESTED)."""
        association: Association = event.assoc
        request: Any = association.requestor.primitive
        rejection = self._judge(association, request)
        if rejection is None:
            return
        association.requestor.ae_title = request.calling_ae_title
        association.acse.send_reject(*rejection.codes)
        self._refusals.rejected(association.requestor.address, request.calling_ae_title, rejection.sentence)
        association.kill()

    def _judge(self, association: Association, request: Any) -> Rejection | None:
        allowed, proposed = self._endpoint.allowed_ae_titles, request.presentation_context_definition_list
        if self._endpoint.require_called_ae_title and request.called_ae_title != self._endpoint.ae_title.strip():
            return CALLED
        if allowed and request.calling_ae_title not in [title.strip() for title in allowed]:
            return CALLING
        if len(proposed) > _MOST_CONTEXTS:
            return CONTEXTS
        return self._take_place(association, any(context.abstract_syntax in _OBJECTS for context in proposed))

    def _take_place(self, association: Association, sends_objects: bool) -> Rejection | None:
        """A place is taken until the association's thread has ended, however it ends."""
        places = self._endpoint.max_associations
        with self._lock:
            taken = sum(1 for one in self._taken if one.is_alive())
            if taken >= places:
                return FULL
            if sends_objects and taken >= places - places // _KEPT_SHARE:
                return FULL_FOR_OBJECTS
            self._taken.add(association)
        return None
