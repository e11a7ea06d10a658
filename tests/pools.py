"""A stand-in for a pool: the same words over HTTP, without Ray, and with whatever faults a test wants."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import numpy as np

from cxr_node.inference.manifest import Manifest
from cxr_node.inference.pool import DIGEST, EXPLANATION, films_of, packed
from cxr_node.inference.predictor import FilmPredictor

Reply = tuple[int, dict[str, str], bytes]


class StandIn:
    """Has a model, and answers with what a predictor of it says, where there is one, under the build `digest`.

    What stands in `replies` comes first, one for each request: None drops the connection. `requests` are the paths that
    were asked for, and `bodies` what was sent there.
    """

    def __init__(self, model: Manifest, predictor: FilmPredictor | None = None) -> None:
        self._model, self._predictor, self.digest = model, predictor, model.digest
        self.replies: list[Reply | None] = []
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._reply))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _reply(self, path: str, headers: Any, body: bytes) -> Reply | None:
        self.requests.append(path)
        self.bodies.append(body)
        if self.replies:
            return self.replies.pop(0)
        model = self._model
        known = {DIGEST: self.digest}
        _, name, version, *question = path.split("/")
        if (name, version) != (model.name, model.version):
            return 404, {}, b""
        if not question:
            return 200, known, json.dumps({"digest": self.digest, "device": "cpu"}).encode()
        if headers[DIGEST] != self.digest:
            return 409, known, b""
        assert self._predictor is not None
        films = films_of(body, model.size)
        if question == ["probe"]:
            return 200, known, packed(logits=self._predictor.probe(films))
        found = self._predictor.predict(films)
        logits, maps = (np.stack(each) for each in zip(*((one.logits, one.activations) for one in found), strict=True))
        return 200, known | {EXPLANATION: found[0].explanation}, packed(logits=logits, activations=maps)


def _handler(reply: Callable[[str, Any, bytes], Reply | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = reply(self.path, self.headers, self.rfile.read(int(self.headers.get("Content-Length", 0))))
            if found is None:
                self.close_connection = True
                return
            status, headers, body = found
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    return Handler
