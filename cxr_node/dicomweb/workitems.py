"""Workitems at another system by UPS-RS (PS3.18 chapter 11): looked at, created, changed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import structlog

from cxr_node.dicomweb.client import JSON, Server, content, refusal, requested, search, value_of
from cxr_node.domain import region
from cxr_node.domain.dicom_json import Attributes, element, fault, first
from cxr_node.domain.region import Asked
from cxr_node.domain.workitem import State
from cxr_node.errors import Permanent, Transient
from cxr_node.message import Message

_STATE, _STUDY = "00741000", "0020000D"
_ASKING: Final = {"ScheduledProcessingParametersSequence.ConceptNameCodeSequence.CodeValue": region.ASKED}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Workitems:
    """Those of a server. What is called raises Transient; Permanent where the server does not take this workitem.

    `guard` is called in the moment before anything is changed there.
    """

    server: Server
    guard: Callable[[], None] = lambda: None

    def look(self, uid: str) -> State | None:
        """In which state it stands there (11.5); None where it is not known."""
        with requested(self.server, "GET", _path(uid), headers={"Accept": JSON}) as answer:
            if answer.status_code == 404:
                return None
            if answer.status_code != 200:
                raise self._at_fault(answer.status_code)
            found = content(self.server, answer)
        one = found[0] if isinstance(found, list) and found else found
        try:
            return State(next(iter(value_of(one, _STATE)), ""))
        except (AttributeError, ValueError) as error:
            raise Transient(
                "ANSWER_INVALID", Message("{peer} answers with no workitem", peer=self.server.name)
            ) from error

    def asked(self) -> dict[str, Asked]:
        """What is asked of us there, by study: a search for the workitems that say so (11.9).

        What cannot be read is logged and left out: the rest of the list does not wait for it.
        """
        found: dict[str, Asked] = {}
        try:
            for one in search(self.server, "/workitems", _ASKING):
                try:
                    asked = None if fault(one) else region.asked(dict(one))
                except ValueError:
                    asked = None
                if asked and (study := first(one, _STUDY)):
                    found[study] = asked
                else:
                    log.warning("hub.unreadable", reason="what is asked for a study cannot be read")
        except Permanent as error:
            raise Transient(error.code, error.message) from error
        return found

    def reach(self) -> None:
        """Whether it answers a search of ours at all."""
        with requested(self.server, "GET", "/workitems", headers={"Accept": JSON}, params=_ASKING) as answer:
            if answer.status_code not in (200, 204):
                raise self._at_fault(answer.status_code)

    def create(self, uid: str, said: Attributes) -> None:
        """11.4."""
        self._told("POST", f"/workitems?workitem={quote(uid)}", said)

    def update(self, uid: str, said: Attributes, transaction: str | None) -> None:
        """11.6, with the Transaction UID of what is in progress."""
        claimed = f"?transaction-uid={quote(transaction)}" if transaction else ""
        self._told("POST", f"{_path(uid)}{claimed}", said)

    def move(self, uid: str, state: State, transaction: str) -> None:
        """11.7."""
        said = {_STATE: element("CS", state), "00081195": element("UI", transaction)}
        self._told("PUT", f"{_path(uid)}/state", said)

    def _told(self, method: str, path: str, said: Attributes) -> None:
        headers = {"Accept": JSON, "Content-Type": JSON}
        self.guard()
        with requested(self.server, method, path, headers=headers, content=json.dumps([said]).encode()) as answer:
            status = answer.status_code
        if status in (400, 409):
            why = Message("{peer} does not take it: HTTP status {status}", peer=self.server.name, status=status)
            raise Permanent("HUB_REFUSED", why)
        if not 200 <= status < 300:
            raise self._at_fault(status)

    def _at_fault(self, status: int) -> Transient:
        """It is not about this workitem but about the server, or its address: that may be mended."""
        error = refusal(self.server, status)
        return error if isinstance(error, Transient) else Transient(error.code, error.message)


def _path(uid: str) -> str:
    return f"/workitems/{quote(uid)}"
