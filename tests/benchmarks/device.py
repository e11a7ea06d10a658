"""What the network costs on a graphics card and on a processor beside it: films a second, latency, memory."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from cxr_node.inference.manifest import find
from cxr_node.inference.predictor import Predictor

BATCHES = (1, 8, 32, 128, 512)
ROUNDS = 30


def measure(_: Path) -> Iterator[str]:
    """Rows of a Markdown table: `Predictor.predict` with activation maps, from and to the memory of the processor."""
    if not torch.cuda.is_available():
        yield "There is no graphics card on this machine."
        return
    manifest = find(None, "cxr-pneumonia")
    card, processor = Predictor(manifest, "cuda"), Predictor(manifest, "cpu")
    films = np.random.default_rng(1).random((max(BATCHES), manifest.size, manifest.size)).astype(np.float32)
    apart = np.abs(card.probe(films[:32]) - processor.probe(films[:32])).max()
    yield f"{torch.cuda.get_device_name()}, torch {torch.__version__}; logits of 32 films at most {apart:.1e} apart."
    yield ""
    yield "| films at once | median, ms | 95th, ms | films/s | peak memory of the card, MB | films/s, one core |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: |"
    torch.set_num_threads(1)
    for size in BATCHES:
        torch.cuda.reset_peak_memory_stats()
        taken = _times(card, films[:size], ROUNDS)
        beside = _times(processor, films[:size], 3) if size <= 32 else None
        median, worst = statistics.median(taken), sorted(taken)[int(0.95 * len(taken))]
        peak = torch.cuda.max_memory_allocated() / 2**20
        other = f"{size / statistics.median(beside):.0f}" if beside else "not run"
        yield f"| {size} | {median * 1e3:.2f} | {worst * 1e3:.2f} | {size / median:.0f} | {peak:.0f} | {other} |"


def _times(predictor: Predictor, batch: np.ndarray, rounds: int) -> list[float]:
    """Seconds of each round; the first three are not counted."""
    taken = []
    for _ in range(rounds + 3):
        began = time.perf_counter()
        predictor.predict(batch)  # its results are in the processor's memory, so the card is done
        taken.append(time.perf_counter() - began)
    return taken[3:]
