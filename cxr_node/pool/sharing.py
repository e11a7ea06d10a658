"""One predictor that several ask at once: what they send is judged together, one batch after the other."""

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_node.inference.predictor import FilmPredictor, Prediction

Floats = NDArray[np.float32]


class Shared:
    """A predictor, used by one batch at a time; `failure` says what its device died of, empty while it lives."""

    def __init__(self, predictor: FilmPredictor) -> None:
        self.predictor, self.failure = predictor, ""
        self._turn = asyncio.Lock()

    async def together(self, requests: Sequence[Floats]) -> list[list[Prediction]]:
        """What the films (n, size, size) of each request are."""
        try:
            async with self._turn:
                found = await asyncio.to_thread(self.predictor.predict, np.concatenate(requests))
        except RuntimeError as error:  # of torch: a device that fails one call fails all that follow
            self.failure = type(error).__name__
            raise
        ends = np.cumsum([len(films) for films in requests])
        return [found[end - len(films) : end] for films, end in zip(requests, ends, strict=True)]

    async def probe(self, films: Floats) -> Floats:
        """As of a predictor."""
        async with self._turn:
            return await asyncio.to_thread(self.predictor.probe, films)
