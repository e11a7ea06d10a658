"""What a film costs the processor where freed memory goes back to the kernel, and where it is kept."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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
spent = ((ended.ru_utime - began.ru_utime) / 96e-3, (ended.ru_stime - began.ru_stime) / 96e-3)
print(f"{spent[0]:.1f} | {spent[1]:.1f} | {ended.ru_maxrss // 1024}")
"""


def measure(_: Path) -> Iterator[str]:
    """Rows of a Markdown table: processor time of one film, and the process's largest size."""
    yield "| freed memory | films at once | network's own, ms a film | the kernel's, ms a film | peak MB |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for films in ("1", "8"):
        for how in ("returned", "kept"):
            command = [sys.executable, "-c", _JUDGE, how, films]
            figures = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            yield f"| {how} | {films} | {figures} |"
