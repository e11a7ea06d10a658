"""What a film costs the processor where freed memory goes back to the kernel, and where it is kept."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.figures import Figure, Scale

_COLUMNS = (("the network's own, a film", "ms"), ("the kernel's, a film", "ms"), ("largest size", "MB"))
_JUDGE = """
import resource, sys
import numpy as np
import torch
from cxr_node.inference.manifest import find
from cxr_node.inference.memory import keep_freed_memory
from cxr_node.inference.predictor import Predictor
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    keep_freed_memory()
manifest = find(None, "cxr-pneumonia")
predictor, size, films = Predictor(manifest, "cpu"), manifest.size, int(sys.argv[2])
batch = np.random.default_rng(1).random((films, size, size)).astype(np.float32)
predictor.predict(batch)
began = resource.getrusage(resource.RUSAGE_SELF)
for _ in range(96 // films):
    predictor.predict(batch)
ended = resource.getrusage(resource.RUSAGE_SELF)
print((ended.ru_utime - began.ru_utime) / 96e-3, (ended.ru_stime - began.ru_stime) / 96e-3, ended.ru_maxrss / 1024)
"""


def measure(_: Path, scale: Scale) -> Iterator[Figure]:
    """Processor time of one film, and the process's largest size."""
    for films in ("1", "8"):
        for how in ("returned", "kept"):
            command = [sys.executable, "-c", _JUDGE, how, films]
            said = [
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                for _ in range(scale.rounds)
            ]
            for (column, unit), samples in zip(_COLUMNS, zip(*said, strict=True), strict=True):
                yield Figure(f"{how}, films at once: {films}", column, unit, [float(each) for each in samples])
