"""What every endpoint shares: who asks, what they may, and how a refusal is answered."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from cxr_node.errors import CxrNodeError, Permanent
from cxr_node.web.access import FORM_COOKIE, Caller, Door, Stranger
from cxr_node.web.accounts import Role
from cxr_node.web.board import Board
from cxr_node.web.guard import BODY
from cxr_node.web.live import Live
from cxr_node.web.names import Names
from cxr_node.web.site import Site

_MOST_FIELDS: Final = 20
_STATUS: Final = {
    "STUDY_UNKNOWN": 404,
    "STUDY_CLAIMED": 409,
    "STUDY_NOT_CLAIMED": 409,
    "STUDY_NOT_READ": 409,
    "STUDY_CLOSED": 409,
    "STUDY_HELD": 409,
    "STUDY_NOT_HELD": 409,
    "FILMS_REJECTED": 409,
    "AT_SITE": 409,
    "REASON_MISSING": 400,
    "FORM_INVALID": 400,
    "FORM_EXPIRED": 403,
    "FORBIDDEN": 403,
    "PICTURE_MISSING": 404,
    "DATABASE_BUSY": 503,
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one node's web side."""

    site: Site
    door: Door
    board: Board
    live: Live
    names: Names

    def study(self, request: Request) -> str:
        """The Study Instance UID that the address means. Raises Permanent("STUDY_UNKNOWN")."""
        uid = self.names.uid(request.path_params["name"])
        if uid is None:
            raise Permanent("STUDY_UNKNOWN", "no film of this study has been received")
        return uid


class HasParts(Protocol):
    """A group of endpoints."""

    @property
    def parts(self) -> Parts: ...


class NotSignedIn(Exception):
    """Nobody knows who asks."""

    def __init__(self, stranger: Stranger) -> None:
        super().__init__("not signed in")
        self.stranger = stranger


Endpoint = Callable[[Any, Request, Caller], Response]


def allowed(role: Role, *, by_form: bool = True) -> Callable[[Endpoint], Callable[..., Any]]:
    """Give an endpoint its caller, who must have at least this role; it runs in a thread, since it asks the database.

    The endpoint raises NotSignedIn or Permanent("FORBIDDEN") otherwise, and Permanent("FORM_EXPIRED") for a POST that
    no form of ours made; whoever shows a token needs no form. What is not `by_form` is for programs: it takes what no
    page of another site made.
    """

    def with_role(endpoint: Endpoint) -> Callable[..., Any]:
        def in_thread(self: HasParts, request: Request) -> Response:
            caller = self.parts.door.caller(request)
            if isinstance(caller, Stranger):
                raise NotSignedIn(caller)
            if not caller.may(role):
                raise Permanent("FORBIDDEN", f"this takes the role {role}")
            if request.method != "GET" and caller.how != "token":
                if by_form:
                    require_form(self.parts.door, request, caller.name)
                else:
                    require_no_other_site(request)
            return endpoint(self, request, caller)

        @wraps(endpoint)
        async def endpoint_of(self: HasParts, request: Request) -> Response:
            return await run_in_threadpool(in_thread, self, request)

        vars(endpoint_of)["role"] = role
        return endpoint_of

    return with_role


def role_of(endpoint: Callable[..., Any]) -> Role | None:
    """Which role an endpoint asks for; None where everybody may."""
    return getattr(endpoint, "role", None)


def form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises Permanent("FORM_INVALID")."""
    try:
        text = request.scope[BODY].decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError as error:
        raise Permanent("FORM_INVALID", "what was sent is no form") from error


def require_form(door: Door, request: Request, user: str) -> None:
    """Raises Permanent("FORM_EXPIRED") for a request that another site made, or a page of another session."""
    token, cookie = form(request).get("form_token", ""), request.cookies.get(FORM_COOKIE, "")
    if request.headers.get("sec-fetch-site") == "cross-site" or not door.sessions.is_form_token(token, cookie, user):
        raise Permanent("FORM_EXPIRED", "no form of this page made the request; load the page again")


def require_no_other_site(request: Request) -> None:
    """Raises Permanent("FORM_EXPIRED") for what a page of another site made; a program says nothing of a site."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    host = request.headers.get("host")
    if site not in ("same-origin", "none") or (origin is not None and urlsplit(origin).netloc != host):
        raise Permanent("FORM_EXPIRED", "a page of another site made the request")


def status_of(error: CxrNodeError) -> int:
    """The HTTP status that a failure is answered with."""
    return _STATUS.get(error.code, 500 if isinstance(error, Permanent) else 503)


def wants_json(request: Request) -> bool:
    return (
        request.url.path.startswith(("/api/", "/dicom-web/")) or request.headers.get("accept", "") == "application/json"
    )


def json_failure(error: CxrNodeError) -> Response:
    return JSONResponse({"error": error.code, "message": error.message}, status_of(error))


def sign_in_first(request: Request, error: Exception) -> Response:
    """To the page where one signs in; a program is told that it is not known."""
    if not isinstance(error, NotSignedIn):
        raise error
    stranger = error.stranger
    if stranger.wait:
        wait = {"Retry-After": str(stranger.wait)}
        return JSONResponse({"error": "TOO_MANY_ATTEMPTS", "message": "wait, then try again"}, 429, wait)
    if wants_json(request) or request.url.path == "/metrics" or request.method != "GET":
        challenge = {"WWW-Authenticate": "Bearer"}
        return JSONResponse({"error": "NOT_SIGNED_IN", "message": "sign in, or show a token"}, 401, challenge)
    back = quote(request.url.path, safe="/")
    return RedirectResponse(f"/sign-in?next={back}", 303)
