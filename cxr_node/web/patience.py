"""HTTP/1.1 for callers that may say nothing: whoever does not finish the head of a request in time is let go."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientProtocol(H11Protocol):
    """uvicorn waits without end for the first request, and for the rest of the head of any."""

    def __init__(self, *arguments: Any, head_seconds: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_seconds = head_seconds
        self._hurry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        if not self._answering:
            self._expect_head()
        super().data_received(data)
        if self._answering:
            self._relax()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._relax()  # the head has come whole; what follows is no request any more
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        if self._hurry is None:
            self._hurry = self.loop.call_later(self._head_seconds, self.transport.abort)

    def _relax(self) -> None:
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None
