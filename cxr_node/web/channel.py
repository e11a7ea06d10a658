"""Event reports to subscribers over a WebSocket (PS3.18 8.10.4 and 8.10.5).

A subscriber that is not called by DIMSE comes for its reports; those that were made while it was away wait for it. A
report that was handed to the connection counts as told.
"""

import asyncio
import json
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from cxr_node.domain.dicom_json import element
from cxr_node.domain.reading_step import PUSH
from cxr_node.errors import CxrNodeError
from cxr_node.store import subscriptions
from cxr_node.store.subscriptions import Report
from cxr_node.ups.desk import Desk
from cxr_node.web.access import Caller, Stranger
from cxr_node.web.accounts import Role
from cxr_node.web.parts import Parts

_LOOK_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 600.0
"""Then a subscriber comes back, and is asked again who it is."""
_AT_ONCE: Final = 50
_REFUSED, _REPLACED, _COME_BACK, _TROUBLE = 1008, 4000, 1012, 1011  # RFC 6455 7.4
_REPORT_REQUEST: Final = 0x0100  # Command Field of N-EVENT-REPORT-RQ


class Channels:
    """The connections of one node, one for each receiver: a newer one takes the place of one that hangs."""

    def __init__(self, parts: Parts, desk: Desk) -> None:
        self._parts, self._desk = parts, desk
        self._current: dict[str, object] = {}

    async def open(self, websocket: WebSocket) -> None:
        """GET /subscribers/{receiver}"""
        receiver = str(websocket.path_params["receiver"])
        if not await run_in_threadpool(self._may, websocket, receiver):
            await websocket.close(_REFUSED)
            return
        await websocket.accept()
        mine = self._current[receiver] = object()
        with suppress(WebSocketDisconnect):
            await websocket.close(await self._serve(websocket, receiver, mine))
        if self._current.get(receiver) is mine:
            del self._current[receiver]

    def _may(self, websocket: WebSocket, receiver: str) -> bool:
        """Readers, from no page of another site, for a receiver that is not called."""
        origin = websocket.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != websocket.headers.get("host"):
            return False
        try:
            caller: Caller | Stranger = self._parts.door.caller(websocket)
        except CxrNodeError:
            return False
        known = isinstance(caller, Caller) and caller.may(Role.READER)
        return known and receiver not in self._desk.called

    async def _serve(self, websocket: WebSocket, receiver: str, mine: object) -> int:
        """Tell what there is until the other end goes; with which code this one ends it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _LONGEST_SECONDS
        gone = asyncio.create_task(_gone(websocket))
        try:
            while not gone.done():
                if self._current.get(receiver) is not mine:
                    return _REPLACED
                if loop.time() > until:
                    return _COME_BACK
                try:
                    told = await self._tell(websocket, receiver)
                except CxrNodeError:  # the database is busy, or its disk full
                    return _TROUBLE
                if not told:
                    await asyncio.wait({gone}, timeout=_LOOK_SECONDS)
        finally:
            gone.cancel()
        raise WebSocketDisconnect

    async def _tell(self, websocket: WebSocket, receiver: str) -> int:
        reports = await run_in_threadpool(self._waiting, receiver)
        for report in reports:
            await websocket.send_text(_text(report))
            await run_in_threadpool(self._told, receiver, report.sequence)
        return len(reports)

    def _waiting(self, receiver: str) -> list[Report]:
        with self._desk.store.reading() as tx:
            return subscriptions.waiting(tx, receiver, _AT_ONCE)

    def _told(self, receiver: str, sequence: int) -> None:
        with self._desk.store.transaction() as tx:
            subscriptions.told(tx, receiver, sequence)


async def _gone(websocket: WebSocket) -> None:
    """Ends when the other end has gone; what it says meanwhile is nothing that it may."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def _text(report: Report) -> str:
    """An event report with its command elements, as PS3.18 shows it."""
    command = {
        "00000002": element("UI", PUSH),
        "00000100": element("US", _REPORT_REQUEST),
        "00000110": element("US", report.sequence % 65536),
        "00000800": element("US", 0),
        "00001000": element("UI", report.workitem),
        "00001002": element("US", int(report.event)),
    }
    return json.dumps(command | report.information, ensure_ascii=False)
