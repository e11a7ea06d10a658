"""What the network costs on a graphics card and on a processor beside it: films a second, latency, memory."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from cxr_node.inference.manifest import find
from cxr_node.inference.predictor import Predictor
from tests.benchmarks.figures import Figure, Scale

BATCHES = (1, 8, 32, 128, 512)


def measure(_: Path, scale: Scale) -> Iterator[Figure | str]:
    """`Predictor.predict` with activation maps, from and to the memory of the processor."""
    if not torch.cuda.is_available():
        yield "There is no graphics card on this machine."
        return
    manifest = find(None, "cxr-pneumonia")
    card, processor = Predictor(manifest, "cuda"), Predictor(manifest, "cpu")
    films = np.random.default_rng(1).random((max(BATCHES), manifest.size, manifest.size)).astype(np.float32)
    apart = np.abs(card.probe(films[:32]) - processor.probe(films[:32])).max()
    yield f"{torch.cuda.get_device_name()}, torch {torch.__version__}; logits of 32 films at most {apart:.1e} apart."
    torch.set_num_threads(1)
    for size in BATCHES:
        torch.cuda.reset_peak_memory_stats()
        taken, row = _times(card, films[:size], scale.repeats), f"films at once: {size}"
        yield Figure(row, "the batch", "ms", [1000 * each for each in taken], tail=True)
        yield Figure(row, "the card", "films/s", [size / each for each in taken])
        yield Figure(row, "most memory of the card", "MB", [torch.cuda.max_memory_allocated() / 2**20])
        if size <= 32:
            beside = _times(processor, films[:size], scale.rounds)
            yield Figure(row, "one core beside it", "films/s", [size / each for each in beside])


def _times(predictor: Predictor, batch: np.ndarray, rounds: int) -> list[float]:
    """Seconds of each round; the first three are not counted."""
    taken = []
    for _ in range(rounds + 3):
        began = time.perf_counter()
        predictor.predict(batch)  # its results are in the processor's memory, so the card is done
        taken.append(time.perf_counter() - began)
    return taken[3:]
