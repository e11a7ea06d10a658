"""What is freed is kept: the kernel clears no page twice."""

import subprocess
import sys

FAULTS = """
import resource, sys
from cxr_node.inference.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    bytearray(b"x") * (48 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_pages_are_asked_for_once() -> None:
    assert _faults("kept") * 5 < _faults("returned")
