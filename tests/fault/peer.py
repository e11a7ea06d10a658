"""A destination whose answers a test chooses."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Self

from pynetdicom import AE, evt

from cxr_node.dimse.contexts import offered
from tests.node import free_port, wait_for


class Destination:
    """A storage SCP: `answer` gives the status for an object's SOP Class UID; `taken` counts what was stored."""

    def __init__(self, answer: Callable[[str], int] = lambda _: 0x0000) -> None:
        self.answer, self.port = answer, free_port()
        self.asked: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self._server: Any = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        ae = AE(ae_title="PEER")
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store)]
        self._server = ae.start_server(("127.0.0.1", self.port), block=False, contexts=offered(), evt_handlers=handlers)
        return self

    def stop(self) -> None:
        """Returns when associations that stand have ended, too: the node keeps one open for a while."""
        if self._server is not None:
            self._server.shutdown()
            wait_for(lambda: not self._server.ae.active_associations, what="the end of what stands")
            self._server = None

    @property
    def table(self) -> dict[str, Any]:
        """As a [[destination]] of a node."""
        return {"name": "peer", "ae_title": "PEER", "host": "127.0.0.1", "port": self.port}

    def _store(self, event: evt.Event) -> int:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        self.asked[uid] += 1
        status = self.answer(str(request.AffectedSOPClassUID))
        if status in (0x0000, 0xB000):
            self.taken[uid] += 1
        return status
