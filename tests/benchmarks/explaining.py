"""What the maps cost that say where in a film the model has looked."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from cxr_node.inference.manifest import find
from cxr_node.inference.memory import keep_freed_memory
from cxr_node.inference.predictor import Predictor
from tests.benchmarks.figures import Figure, Scale

OCCLUSION, COLUMN = "occlusion", "one film"
_KINDS = ("cam", OCCLUSION)


def measure(_: Path, scale: Scale) -> Iterator[Figure | str]:
    """Seconds a film, one film at a time, from the array that the network is given."""
    keep_freed_memory()  # as the processes of a node do
    manifest = find(None, "cxr-pneumonia")
    film = np.random.default_rng(1).random((1, manifest.size, manifest.size)).astype(np.float32)
    predictors = {kind: Predictor(manifest, "cpu", kind) for kind in _KINDS}
    taken: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for _ in range(scale.rounds):
        for kind, predictor in predictors.items():
            began = time.perf_counter()
            predictor.predict(film)
            taken[kind].append(time.perf_counter() - began)
    for kind, samples in taken.items():
        yield Figure(kind, COLUMN, "s", samples)
    yield f"torch with {torch.get_num_threads()} threads."
