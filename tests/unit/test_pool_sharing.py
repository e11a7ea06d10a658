"""A predictor that several ask at once."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from cxr_node.inference.manifest import Manifest
from cxr_node.inference.predictor import Prediction
from cxr_node.pool.sharing import Floats, Shared


class Mean:
    """Says of each film its mean, and counts its batches; a film of ones breaks its device."""

    device = "cpu"
    manifest: Manifest

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, batch: Floats) -> list[Prediction]:
        self.batches.append(len(batch))
        if batch.min() == 1:
            raise RuntimeError("CUDA error")
        return [Prediction(film.mean(keepdims=True)[0], film[None]) for film in batch]

    def probe(self, batch: Floats) -> Floats:
        return batch.mean(axis=(1, 2))[:, None]


def films(*values: float) -> Floats:
    return np.stack([np.full((4, 4), value, np.float32) for value in values])


def said(found: Sequence[Sequence[Prediction]]) -> list[list[float]]:
    return [[round(float(one.logits[0]), 3) for one in each] for each in found]


def test_requests_are_judged_together_and_each_gets_its_own() -> None:
    mean = Mean()
    found = asyncio.run(Shared(mean).together([films(0.1), films(0.2, 0.3, 0.4), films(0.5, 0.6)]))
    assert said(found) == [[0.1], [0.2, 0.3, 0.4], [0.5, 0.6]]
    assert mean.batches == [6]


def test_golden_outputs_come_one_batch_at_a_time_too() -> None:
    async def both() -> tuple[Floats, list[list[Prediction]]]:
        shared = Shared(Mean())
        return await asyncio.gather(shared.probe(films(0.25)), shared.together([films(0.5)]))

    probed, found = asyncio.run(both())
    assert (probed.tolist(), said(found)) == ([[0.25]], [[0.5]])


def test_a_device_that_fails_is_told() -> None:
    shared = Shared(Mean())
    with pytest.raises(RuntimeError, match="CUDA error"):
        asyncio.run(shared.together([films(1)]))
    assert shared.failure == "RuntimeError"
