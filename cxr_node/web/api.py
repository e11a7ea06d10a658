"""What programs ask for: health, metrics, the worklist and studies as JSON, and the stream of events."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from cxr_node.errors import Permanent
from cxr_node.web import metrics, shapes
from cxr_node.web.access import Caller
from cxr_node.web.accounts import Role
from cxr_node.web.metrics import NodeCollector
from cxr_node.web.operations import JSON, Operation, Parameter
from cxr_node.web.parts import Parts, allowed

_MOST_DIGITS: Final = 15


@dataclass(frozen=True, slots=True)
class Api:
    """The endpoints of contract "HTTP" that are no pages."""

    parts: Parts
    collector: NodeCollector

    async def healthz(self, request: Request) -> Response:
        """GET /healthz: this process answers."""
        return JSONResponse({"alive": True})

    def readyz(self, request: Request) -> Response:
        """GET /readyz: films are received and analysed; 503 while they are not."""
        found = self.parts.site.ready()
        return JSONResponse(dict(found), 200 if found["ready"] else 503)

    @allowed(Role.VIEWER)
    def metrics(self, request: Request, caller: Caller) -> Response:
        """GET /metrics"""
        return Response(metrics.exposition(self.collector), headers={"Content-Type": metrics.CONTENT_TYPE})

    @allowed(Role.VIEWER)
    def worklist(self, request: Request, caller: Caller) -> Response:
        """GET /api/worklist, with ?all=1 also what is read or withdrawn."""
        wanted = request.query_params.get("all", "0")
        if wanted not in ("0", "1"):
            raise Permanent("FORM_INVALID", "all is 1 or 0")
        text = self.parts.board.text(closed=wanted == "1")
        self.parts.site.looked(caller)
        return Response(text, media_type="application/json")

    @allowed(Role.VIEWER)
    def study(self, request: Request, caller: Caller) -> Response:
        """GET /api/studies/{name}"""
        uid = self.parts.study(request)
        found: dict[str, Any] | None = self.parts.site.study(uid)
        if found is None:
            raise Permanent("STUDY_UNKNOWN", "no film of this study has been received")
        self.parts.site.looked(caller, uid)
        return JSONResponse(found)

    @allowed(Role.VIEWER)
    def events(self, request: Request, caller: Caller) -> Response:
        """GET /api/events: server-sent events, from Last-Event-ID on where it is given."""
        last = request.headers.get("last-event-id", "")
        after = int(last) if last.isdecimal() and last.isascii() and len(last) <= _MOST_DIGITS else None
        stream: AsyncIterator[str] = self.parts.live.stream(after)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


NAME: Final = Parameter("name", "Study Instance UID, or the pseudonym of the log", in_path=True)
_ALL: Final = Parameter("all", "1: also what is read or withdrawn", {"enum": ["0", "1"]})
OPERATIONS: Final = (
    Operation("GET", "/healthz", "healthz", {200: {JSON: shapes.ALIVE}}),
    Operation("GET", "/readyz", "readyz", {200: {JSON: shapes.READY}, 503: {JSON: shapes.READY}}),
    Operation("GET", "/metrics", "metrics", {200: {"text/plain": shapes.TEXT}}),
    Operation("GET", "/api/worklist", "worklist", {200: {JSON: shapes.WORKLIST}}, [_ALL]),
    Operation("GET", "/api/events", "events", {200: {"text/event-stream": shapes.TEXT}}),
    Operation("GET", "/api/studies/{name}", "study", {200: {JSON: shapes.STUDY}}, [NAME]),
)
