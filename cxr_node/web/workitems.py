"""UPS-RS: workitems over HTTP (PS3.18 section 11), by the same functions as over DIMSE."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cxr_node.domain.dicom_json import Attributes, element, first
from cxr_node.domain.uid import UUID_ROOT
from cxr_node.domain.workitem import FILTERED, Action, Reply, State, Status
from cxr_node.domain.workitem import Caller as Asking
from cxr_node.errors import Permanent
from cxr_node.ups.desk import Desk
from cxr_node.web import dicomweb, shapes
from cxr_node.web.access import Caller
from cxr_node.web.accounts import Role
from cxr_node.web.operations import JSON, Operation, Parameter, Schema
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
        said = dicomweb.payload(request)
        reply = self.desk.act(_uid(request), Action.CHANGE_STATE, said, _asking(caller))
        slower = reply.status is Status.WRONG_TRANSACTION and first(said, "00741000") == State.IN_PROGRESS
        return self._answered(reply, conflict=slower and bool(first(said, "00081195")))

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

    def _answered(self, reply: Reply, done: int = 200, *, conflict: bool = False) -> Response:
        """A status of PS3.4 as one of HTTP; what it means stands in a Warning, as PS3.18 has it, and in the answer.

        `conflict`: somebody else was faster. PS3.4 has no other status for it than for a mistaken Transaction UID.
        """
        if reply.status is Status.SUCCESS:
            self.parts.live.ring()
            return Response(status_code=done)
        told = _SENTENCES.get(reply.status) or reply.comment or reply.status.name.replace("_", " ").lower()
        known = reply.status in (Status.ALREADY_CANCELED, Status.ALREADY_COMPLETED)
        headers = {"Warning": _warning(told)}
        if not reply.status.refused and not known:
            return Response(status_code=done, headers=headers)
        said = {"error": reply.status.name, "message": told}
        return JSONResponse(said, 409 if conflict else _HTTP.get(reply.status, 409), headers)


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


def _parameters(*names: str) -> list[Parameter]:
    return [_PARAMETERS[name] for name in names]


def _body(schema: Schema) -> Mapping[str, Schema]:
    return {dicomweb.JSON: schema, dicomweb.XML: shapes.TEXT}


_COUNT: Final = {"type": "integer", "minimum": 0, "maximum": 9_999_999}
_UID_SCHEMA: Final = {"type": "string", "pattern": "^[0-9.]+$", "maxLength": 64}
_PARAMETERS: Final = {
    one.name: one
    for one in (
        Parameter("workitem", "SOP Instance UID", _UID_SCHEMA, in_path=True),
        Parameter("receiver", "AE title of who is to be told", in_path=True),
        Parameter("requester", "AE title of who asks", in_path=True),
        Parameter("limit", "how many at most", _COUNT),
        Parameter("offset", "how many to pass over", _COUNT),
        Parameter("ProcedureStepState", "a matching key, as any other keyword or tag", {"enum": list(map(str, State))}),
        Parameter("transaction-uid", "what the workitem was claimed with", _UID_SCHEMA),
        Parameter("deletionlock", "keep what is over for this subscriber", {"enum": ["true", "false"]}),
        Parameter("filter", "keys of a filtered subscription: Key=value,Key=value"),
    )
}
_FAILED: Final = {JSON: shapes.FAILURE}
_CHANGED: Final[Mapping[int, Mapping[str, Schema]]] = {200: {}, 404: _FAILED, 409: _FAILED}
_NAMED: Final = Parameter("workitem", "SOP Instance UID; else that of the data set, else a new one", _UID_SCHEMA)
_SAID: Final = _body(shapes.DATA_SET)
_FOUND: Final = {dicomweb.JSON: shapes.DATA_SETS, dicomweb.XML: shapes.TEXT}
_MANY: Final = {dicomweb.JSON: shapes.DATA_SETS, "multipart/related": shapes.TEXT}
_WORKITEM: Final = BASE + "/workitems/{workitem}"
_SUBSCRIBER: Final = _WORKITEM + "/subscribers/{receiver}"
OPERATIONS: Final = (
    Operation("POST", BASE + "/workitems", "create", {201: {}, 409: _FAILED}, [_NAMED], _body(shapes.NEW_WORKITEM)),
    Operation(
        "GET",
        BASE + "/workitems",
        "find",
        {200: _MANY, 204: {}},
        _parameters("limit", "offset", "ProcedureStepState"),
    ),
    Operation("GET", _WORKITEM, "get", {200: _FOUND, 404: _FAILED}, _parameters("workitem")),
    Operation("POST", _WORKITEM, "set", _CHANGED, _parameters("workitem", "transaction-uid"), _SAID),
    Operation("PUT", _WORKITEM + "/state", "change", _CHANGED, _parameters("workitem"), _body(shapes.CHANGE_OF_STATE)),
    Operation(
        "POST",
        _WORKITEM + "/cancelrequest",
        "request_cancel",
        {202: {}, **_CHANGED},
        _parameters("workitem"),
        _SAID,
        optional=True,
    ),
    Operation(
        "POST",
        _WORKITEM + "/cancelrequest/{requester}",
        "request_cancel",
        {202: {}, **_CHANGED},
        _parameters("workitem", "requester"),
        _SAID,
        optional=True,
    ),
    Operation(
        "POST",
        _SUBSCRIBER,
        "subscribe",
        {201: {}, 404: _FAILED},
        _parameters("workitem", "receiver", "deletionlock", "filter"),
    ),
    Operation("DELETE", _SUBSCRIBER, "unsubscribe", {200: {}, 404: _FAILED}, _parameters("workitem", "receiver")),
    Operation(
        "POST", _SUBSCRIBER + "/suspend", "suspend", {200: {}, 404: _FAILED}, _parameters("workitem", "receiver")
    ),
)
"""The transactions, and whose they are in `Workitems`."""
