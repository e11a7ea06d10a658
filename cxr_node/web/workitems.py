"""UPS-RS: workitems over HTTP (PS3.18 section 11), by the same functions as over DIMSE."""

import uuid
from dataclasses import dataclass
from itertools import islice
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from cxr_node.domain.dicom_json import Attributes, element, first
from cxr_node.domain.uid import UUID_ROOT
from cxr_node.domain.workitem import FILTERED, Action, Reply, Status
from cxr_node.domain.workitem import Caller as Asking
from cxr_node.errors import Permanent
from cxr_node.ups.desk import Desk
from cxr_node.web import dicomweb
from cxr_node.web.access import Caller
from cxr_node.web.accounts import Role
from cxr_node.web.parts import Parts, allowed

BASE: Final = "/dicom-web"
_MOST_FOUND: Final = 1000
_BAD_REQUEST: Final = frozenset(
    {
        Status.INVALID_VALUE, Status.INVALID_ARGUMENT, Status.INVALID_INSTANCE, Status.MISSING_ATTRIBUTE,
        Status.MISSING_VALUE, Status.NOT_SCHEDULED, Status.ONLY_BY_CREATION, Status.WRONG_TRANSACTION,
        Status.RECEIVER_UNKNOWN, Status.NOT_APPROPRIATE,
    }
)  # fmt: skip
_HTTP: Final = {
    Status.UNKNOWN: 404,
    Status.NOT_UPDATED: 410,
    Status.RESOURCE_LIMITATION: 503,
    Status.PROCESSING_FAILURE: 409,
    **dict.fromkeys(_BAD_REQUEST, 400),
}
"""What is not here, and is no success, is a conflict with the state of the workitem (409)."""
_SENTENCES: Final = {
    Status.NOT_UPDATED: "The UPS may no longer be updated",
    Status.WRONG_TRANSACTION: "The correct Transaction UID was not provided",
    Status.ALREADY_IN_PROGRESS: "The UPS is already IN PROGRESS",
    Status.NOT_IN_PROGRESS: "The UPS is not yet in the IN PROGRESS state",
    Status.ALREADY_CANCELED: "The UPS is already in the requested state of CANCELED",
    Status.ALREADY_COMPLETED: "The UPS is already in the requested state of COMPLETED",
    Status.CANCEL_COMPLETED: "The UPS is already COMPLETED",
}


@dataclass(frozen=True, slots=True)
class Workitems:
    """The transactions of PS3.18 table 11.1-1. Viewers look; readers do."""

    parts: Parts
    desk: Desk

    @allowed(Role.READER, by_form=False)
    def create(self, request: Request, caller: Caller) -> Response:
        """POST /workitems?workitem=UID (11.4)"""
        said = dicomweb.payload(request)
        named = request.query_params.get("workitem") or first(said, "00080018")
        uid = named or f"{UUID_ROOT}.{uuid.uuid4().int}"
        reply = self.desk.create(uid, said, _asking(caller))
        if reply.status.refused:
            return self._answered(reply)
        self.parts.live.ring()
        return Response(status_code=201, headers={"Location": f"{BASE}/workitems/{uid}"})

    @allowed(Role.VIEWER)
    def find(self, request: Request, caller: Caller) -> Response:
        """GET /workitems (11.9): in reading order, `limit` of them from `offset` on."""
        limit = min(dicomweb.number(request, "limit", _MOST_FOUND), _MOST_FOUND)
        offset = dicomweb.number(request, "offset", 0)
        query = dicomweb.keys(request.query_params.multi_items())
        found = list(islice(self.desk.find_whole(query, _asking(caller)), offset, offset + limit + 1))
        headers = {"Warning": _warning("there are more; ask with offset")} if len(found) > limit else {}
        return dicomweb.several(request, found[:limit], headers)

    @allowed(Role.VIEWER)
    def get(self, request: Request, caller: Caller) -> Response:
        """GET /workitems/{workitem} (11.5)"""
        reply = self.desk.get(_uid(request), (), _asking(caller))
        return self._answered(reply) if reply.attributes is None else dicomweb.one(request, reply.attributes)

    @allowed(Role.READER, by_form=False)
    def set(self, request: Request, caller: Caller) -> Response:
        """POST /workitems/{workitem}?transaction-uid=UID (11.6)"""
        said, transaction = dicomweb.payload(request), request.query_params.get("transaction-uid")
        if transaction:
            said = said | {"00081195": element("UI", transaction)}
        return self._answered(self.desk.set(_uid(request), said, _asking(caller)))

    @allowed(Role.READER, by_form=False)
    def change(self, request: Request, caller: Caller) -> Response:
        """PUT /workitems/{workitem}/state (11.7)"""
        return self._act(request, caller, Action.CHANGE_STATE, dicomweb.payload(request))

    @allowed(Role.READER, by_form=False)
    def request_cancel(self, request: Request, caller: Caller) -> Response:
        """POST /workitems/{workitem}/cancelrequest (11.8)"""
        return self._act(request, caller, Action.REQUEST_CANCEL, dicomweb.payload(request), done=202)

    @allowed(Role.READER, by_form=False)
    def subscribe(self, request: Request, caller: Caller) -> Response:
        """POST /workitems/{workitem}/subscribers/{receiver}?deletionlock=true&filter=... (11.10)"""
        lock = "TRUE" if request.query_params.get("deletionlock", "").lower() == "true" else "FALSE"
        said = _receiver(request) | {"00741230": element("LO", lock)}
        if _uid(request) == FILTERED:
            said |= dicomweb.keys(_filters(request.query_params.getlist("filter")))
        answer = self._act(request, caller, Action.SUBSCRIBE, said, done=201)
        if answer.status_code == 201:
            scheme = "wss" if self.parts.door.secure(request) else "ws"
            host = request.headers.get("host", "")
            answer.headers["Content-Location"] = f"{scheme}://{host}{BASE}/subscribers/{_title(request)}"
        return answer

    @allowed(Role.READER, by_form=False)
    def unsubscribe(self, request: Request, caller: Caller) -> Response:
        """DELETE /workitems/{workitem}/subscribers/{receiver} (11.11)"""
        return self._act(request, caller, Action.UNSUBSCRIBE, _receiver(request))

    @allowed(Role.READER, by_form=False)
    def suspend(self, request: Request, caller: Caller) -> Response:
        """POST /workitems/{workitem}/subscribers/{receiver}/suspend (11.12)"""
        return self._act(request, caller, Action.SUSPEND, _receiver(request))

    def _act(self, request: Request, caller: Caller, action: Action, said: Attributes, *, done: int = 200) -> Response:
        return self._answered(self.desk.act(_uid(request), action, said, _asking(caller)), done)

    def _answered(self, reply: Reply, done: int = 200) -> Response:
        """A status of PS3.4 as one of HTTP; what it means stands in a Warning, as PS3.18 has it."""
        if reply.status is Status.SUCCESS:
            self.parts.live.ring()
            return Response(status_code=done)
        told = _SENTENCES.get(reply.status) or reply.comment or reply.status.name.replace("_", " ").lower()
        known = reply.status in (Status.ALREADY_CANCELED, Status.ALREADY_COMPLETED)
        accepted = not reply.status.refused and not known
        code = done if accepted else _HTTP.get(reply.status, 409)
        return Response(status_code=code, headers={"Warning": _warning(told)})


def _asking(caller: Caller) -> Asking:
    return Asking(caller.name, caller.name[:16], caller.address)


def _uid(request: Request) -> str:
    return str(request.path_params["workitem"])


def _title(request: Request) -> str:
    return str(request.path_params["receiver"])


def _receiver(request: Request) -> Attributes:
    return {"00741234": element("AE", _title(request))}


def _filters(given: list[str]) -> list[tuple[str, str]]:
    """`filter=Key=value,Key=value`. Raises Permanent("FORM_INVALID")."""
    pairs = [one.partition("=") for text in given for one in text.split(",") if one]
    if not pairs or any(not sign for _, sign, _ in pairs):
        raise Permanent("FORM_INVALID", "filter is a list of attribute=value")
    return [(name, value) for name, _, value in pairs]


def _warning(text: str) -> str:
    """RFC 7234 5.5, as PS3.18 11 uses it."""
    return f'299 cxr-node: "{text}"'


PATHS: Final = (
    ("/workitems", "POST", "create"),
    ("/workitems", "GET", "find"),
    ("/workitems/{workitem}", "GET", "get"),
    ("/workitems/{workitem}", "POST", "set"),
    ("/workitems/{workitem}/state", "PUT", "change"),
    ("/workitems/{workitem}/cancelrequest", "POST", "request_cancel"),
    ("/workitems/{workitem}/cancelrequest/{requester}", "POST", "request_cancel"),
    ("/workitems/{workitem}/subscribers/{receiver}", "POST", "subscribe"),
    ("/workitems/{workitem}/subscribers/{receiver}", "DELETE", "unsubscribe"),
    ("/workitems/{workitem}/subscribers/{receiver}/suspend", "POST", "suspend"),
)
"""Below BASE: address, method, and which transaction it is."""
