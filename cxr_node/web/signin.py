"""Signing in and out with a name and a password."""

import threading
from dataclasses import dataclass, field
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cxr_node.message import N_
from cxr_node.web import accounts
from cxr_node.web.access import SESSION_COOKIE, Caller
from cxr_node.web.accounts import Role
from cxr_node.web.pages import Pages, local
from cxr_node.web.parts import Parts, allowed, form

_AT_ONCE: Final = 2  # each takes 32 MiB and a tenth of a second
_WRONG: Final = N_("Name or password is wrong.")
_WAIT: Final = N_("Too many attempts. Please wait a few minutes.")


@dataclass(frozen=True, slots=True)
class SignIn:
    """The page where one signs in. Who failed too often waits, and so does the name they tried."""

    parts: Parts
    pages: Pages
    hashing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))

    async def page(self, request: Request) -> Response:
        """GET /sign-in"""
        return await run_in_threadpool(self._page, request)

    async def enter(self, request: Request) -> Response:
        """POST /sign-in"""
        return await run_in_threadpool(self._enter, request)

    @allowed(Role.VIEWER)
    def leave(self, request: Request, caller: Caller) -> Response:
        """POST /sign-out"""
        if caller.session:
            self.parts.door.sessions.end(caller.session)
            self.parts.site.record("user.signed_out", caller, session=caller.session.name)
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(SESSION_COOKIE)
        return answer

    def _page(self, request: Request) -> Response:
        back = local(request.query_params.get("next"))
        if self.parts.door.users is None or isinstance(self.parts.door.caller(request), Caller):
            return (
                self.pages.show(request, None, "closed.html")
                if self.parts.door.users is None
                else (RedirectResponse(back, 303))
            )
        return self._form(request, back, None, 200)

    def _enter(self, request: Request) -> Response:
        self.pages.require_form(request)
        fields, door = form(request), self.parts.door
        name, back, address = fields.get("name", "").strip(), local(fields.get("next")), door.address(request)
        known = door.users.by_name() if door.users else {}
        keys = (f"address {address}", f"name {name[:64]}")
        if wait := door.attempts.wait(*keys):
            answer = self._form(request, back, _WAIT, 429)
            answer.headers["Retry-After"] = str(wait)
            return answer
        account = known.get(name)
        with self.hashing:
            right = accounts.is_password(fields.get("password", ""), account)
        if account is None or not right:
            door.attempts.failed(*keys)
            tried = Caller(account.name if account else "unknown", Role.VIEWER, "session", address)
            self.parts.site.record("user.sign_in_failed", tried)
            return self._form(request, back, _WRONG, 403)
        door.attempts.forget(*keys)
        self.parts.site.record("user.signed_in", Caller(account.name, account.role, "session", address))
        return self._signed_in(request, door.sessions.begin(account), back)

    def _signed_in(self, request: Request, cookie: str, back: str) -> Response:
        answer = RedirectResponse(back, 303)
        secure = self.parts.door.secure(request)
        answer.set_cookie(SESSION_COOKIE, cookie, httponly=True, samesite="lax", secure=secure)
        return answer

    def _form(self, request: Request, back: str, mistake: str | None, status: int) -> Response:
        answer = self.pages.show(request, None, "sign_in.html", next=back, mistake=mistake)
        answer.status_code = status
        return answer
