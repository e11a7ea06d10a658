"""What holds for every request and answer: its size and time, and what a browser may do with a page."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES: Final = 16 * 1024
"""Of the body of a request: the largest is a form of a few fields ..."""

_MOST_BYTES_BELOW: Final = {"/dicom-web/": 128 * 1024}
"""... but for a workitem."""

_STREAMED: Final = re.compile(r"/dicom-web/studies(/[^/]+)?")
"""Films that come by STOW-RS are read by who takes them, as they come."""

BODY: Final = "cxr_node.body"
"""Where the scope of a request has its body, for those that answer outside the event loop."""

_BODY_SECONDS: Final = 10.0
_TAKE_SECONDS: Final = 30.0
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_PRIVATE: Final = "no-store"  # on a screen that many share, nothing of a patient stays behind


class Guard:
    """Reads the whole of a small request within its time, and dresses every answer.

    An answer that is not taken within its time ends the connection; so does a body that does not come.
    """

    def __init__(
        self, app: ASGIApp, *, body_seconds: float = _BODY_SECONDS, take_seconds: float = _TAKE_SECONDS
    ) -> None:
        self._app, self._body_seconds, self._take_seconds = app, body_seconds, take_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        dressed = self._dressed(scope, send)
        if scope["method"] == "POST" and _STREAMED.fullmatch(scope["path"]):
            await self._app(scope, receive, dressed)
            return
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await _body(Headers(scope=scope), receive, _most_bytes(scope["path"]))
        except TimeoutError:
            await PlainTextResponse("the request did not come in time", 408, {"Connection": "close"})(
                scope, receive, dressed
            )
            return
        if body is None:
            await PlainTextResponse("the request is too large", 413, {"Connection": "close"})(scope, receive, dressed)
            return
        scope[BODY] = body
        await self._app(scope, _again(body, receive), dressed)

    def _dressed(self, scope: Scope, send: Send) -> Callable[[Message], Awaitable[None]]:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", _PRIVATE)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            async with asyncio.timeout(self._take_seconds):
                await send(message)

        return dressed


def _most_bytes(path: str) -> int:
    return next((most for below, most in _MOST_BYTES_BELOW.items() if path.startswith(below)), MOST_BYTES)


async def _body(headers: Headers, receive: Receive, most: int) -> bytes | None:
    """The whole body; None for one that is too large."""
    said = headers.get("content-length", "0")
    if not said.isdecimal() or int(said) > most:
        return None
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            return None
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for whoever reads it; then what else comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
