"""What a replica of the pool does: it holds one model, and judges the films of whoever asks (see `inference.pool`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from cxr_node.errors import Permanent
from cxr_node.inference import golden, manifest
from cxr_node.inference.memory import keep_freed_memory
from cxr_node.inference.pool import DIGEST, EXPLANATION, films_of, packed
from cxr_node.inference.predictor import Prediction, Predictor, device_name
from cxr_node.pool.sharing import Shared

Floats = NDArray[np.float32]


def _films(requests: Sequence[Floats]) -> int:
    return sum(map(len, requests))


class Replica:
    """One model on one device. `directory` is the models folder (None: the shipped ones), `called` NAME:VERSION.

    Films of several requests are judged together, up to `batch`: those that come while others are judged. Nobody waits
    for company.

    Raises:
        ConfigError: the model is not on this machine.
        Permanent: MODEL_DIGEST: it is here, and is not the build `digest`, or one of its files is another;
            MODEL_GOLDEN: it computes something else here than at release.
    """

    def __init__(self, directory: str | None, called: str, digest: str, batch: int) -> None:
        keep_freed_memory()
        model = manifest.named(Path(directory) if directory else None, called)
        if model.digest != digest:
            why = f"the model {called} is another build on this machine: its digest is {model.digest}, not {digest}"
            raise Permanent("MODEL_DIGEST", why)
        predictor = Predictor(model)
        golden.check(predictor)
        self._model, self._device, self._shared = model, device_name(predictor.device), Shared(predictor)
        self._judge.set_max_batch_size(batch)  # type: ignore[attr-defined] # of what serve.batch makes of it

    async def __call__(self, request: Request) -> Response:
        """The answer to one request."""
        headers = {DIGEST: self._model.digest}
        if request.method == "GET":
            return JSONResponse({"digest": self._model.digest, "device": self._device}, headers=headers)
        if request.headers.get(DIGEST) != self._model.digest:
            return PlainTextResponse("another build is here", 409, headers)
        try:
            films = films_of(await request.body(), self._model.size)
        except ValueError as error:
            return PlainTextResponse(str(error), 400, headers)
        if request.url.path.endswith("/probe"):
            return Response(packed(logits=await self._shared.probe(films)), headers=headers)
        found = await self._judge(films)
        headers[EXPLANATION] = found[0].explanation
        logits, maps = (np.stack(each) for each in zip(*((one.logits, one.activations) for one in found), strict=True))
        return Response(packed(logits=logits, activations=maps), headers=headers)

    def check_health(self) -> None:
        """Raises RuntimeError when the device has failed: Serve then puts another replica in this one's place."""
        if self._shared.failure:
            raise RuntimeError(self._shared.failure)

    @serve.batch(batch_wait_timeout_s=0, batch_size_fn=_films)
    async def _judge(self, requests: list[Floats]) -> list[list[Prediction]]:
        return await self._shared.together(requests)
