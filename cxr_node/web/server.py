"""The server: uvicorn with the node's own limits, TLS and logs."""

import ssl
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from cxr_node.web.patience import PatientProtocol

_MOST_CONNECTIONS: Final = 512
_MOST_HEAD_BYTES: Final = 16 * 1024
_MOST_MESSAGE_BYTES: Final = 4096  # by WebSocket: subscribers have nothing to say
_HEAD_SECONDS: Final = 10.0
_KEEP_ALIVE_SECONDS: Final = 20
_LAST_ANSWERS_SECONDS: Final = 2


class Server(uvicorn.Server):
    """Serves an application at an address, until it is told to stop. The process keeps its own signal handlers."""

    def __init__(self, app: ASGIApp, secure: ssl.SSLContext | None, *, head_seconds: float = _HEAD_SECONDS) -> None:
        patient: Any = partial(PatientProtocol, head_seconds=head_seconds)
        config = uvicorn.Config(
            app, loop="asyncio", http=patient, ws="wsproto", ws_max_size=_MOST_MESSAGE_BYTES, lifespan="on",
            log_config=None, access_log=False, server_header=False, proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
            h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
            ssl_context_factory=(lambda _, __: secure) if secure else None,
        )  # fmt: skip
        super().__init__(config)

    def stop(self) -> None:
        """From any thread; answers that are under way get a moment."""
        self.should_exit = True
