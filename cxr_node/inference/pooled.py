"""A model that a pool computes, and, where it may, this machine as long as the pool does not."""

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from cxr_node.errors import Transient
from cxr_node.inference.build import verify
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.pool import Answer, Pool
from cxr_node.inference.predictor import FilmPredictor, Prediction

log = structlog.get_logger()
T = TypeVar("T")
Floats = NDArray[np.float32]
_FIRST_REST, _LONGEST_REST = 5.0, 60.0


class PooledPredictor:
    """A model as the pool computes it; not to be shared between threads.

    `own` computes it here while the pool does not answer; then the pool is left alone for 5 s, and from failure to
    failure for twice as long, up to a minute, so that films do not wait for it one by one. `monotonic` is the clock's.

    Raises:
        Permanent: MODEL_DIGEST: a file of the model on this machine is not the one that it was released with.
    """

    def __init__(
        self,
        manifest: Manifest,
        pool: Pool,
        own: FilmPredictor | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        verify(manifest)
        self.manifest = manifest
        self._pool, self._own, self._monotonic = pool, own, monotonic
        self._rest, self._until = 0.0, 0.0

    @property
    def device(self) -> str:
        """What computes, for people."""
        return f"pool {self._pool.address}" + (f", else {self._own.device}" if self._own else "")

    def predict(self, batch: Floats) -> list[Prediction]:
        """As of `Predictor`, to 1e-5. Raises Transient where the pool does not answer and this machine may not."""
        return self._judged(
            lambda: _predictions(self._pool.ask("predict", self.manifest, batch)), lambda own: own.predict(batch)
        )

    def probe(self, batch: Floats) -> Floats:
        """As of `Predictor`. Raises as `predict` does."""
        return self._judged(lambda: self._pool.ask("probe", self.manifest, batch).logits, lambda own: own.probe(batch))

    def _judged(self, there: Callable[[], T], here: Callable[[FilmPredictor], T]) -> T:
        if self._own is None:
            return there()
        if self._monotonic() < self._until:
            return here(self._own)
        try:
            found = there()
        except Transient as error:
            self._rest = min(_LONGEST_REST, 2 * self._rest or _FIRST_REST)
            self._until = self._monotonic() + self._rest
            log.warning("pool.away", model=self.manifest.called, code=error.code, reason=error.message)
            return here(self._own)
        if self._rest:
            self._rest = 0.0
            log.info("pool.back", model=self.manifest.called)
        return found


def _predictions(answer: Answer) -> list[Prediction]:
    assert answer.activations is not None  # noqa: S101 - `Pool.ask` has looked
    return [
        Prediction(logits, maps, answer.explanation)
        for logits, maps in zip(answer.logits, answer.activations, strict=True)
    ]
