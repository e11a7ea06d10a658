"""How soon two hundred subscribers have heard of a film.

They are a process of their own: `python -m tests.benchmarks.subscribers PORT`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from cxr_node.domain.workitem import GLOBAL
from tests.films import chest
from tests.node import Node, free_port
from tests.steps import Watcher, Workstation

_SUBSCRIBERS, _TIMES = 200, 5


def measure(folder: Path) -> Iterator[str]:
    """A sentence: from the last response of C-STORE to the last N-EVENT-REPORT that was received."""
    port, took = free_port(), []
    titles = [f"VIEWER{number}" for number in range(_SUBSCRIBERS)]
    tables = [{"ae_title": title, "host": "127.0.0.1", "port": port} for title in titles]
    command = [sys.executable, "-m", "tests.benchmarks.subscribers", str(port)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watching,
        Node(folder, subscribers=tables) as node,
    ):
        with Workstation(node.port) as station:
            for title in titles:
                assert station.subscribe(GLOBAL, title) == 0x0000
        for _ in range(_TIMES):
            node.send(chest())
            sent = time.time()
            node.wait_idle()
            took.append(_last(watching) - sent)
        assert watching.stdin
        watching.stdin.close()
    yield (
        f"A film comes, and {_SUBSCRIBERS} subscribers are called, each on an association of its own: the last has "
        f"heard of it after {median(took):.1f} s (median of {_TIMES}; longest {max(took):.1f} s)."
    )


def _last(watching: subprocess.Popen[str]) -> float:
    """When the last report came, in seconds since 1970 UTC; each subscriber has had one."""
    assert watching.stdin
    assert watching.stdout
    watching.stdin.write("\n")
    watching.stdin.flush()
    count, last = json.loads(watching.stdout.readline())
    assert count == _SUBSCRIBERS
    return float(last)


def _watch(port: int) -> None:
    """Be all subscribers; at each line, how many reports came since the line before, and when the last of them."""
    with Watcher(port=port) as watcher:
        known = 0
        for _ in sys.stdin:
            times = watcher.times[known:]
            known += len(times)
            print(json.dumps([len(times), max(times, default=0.0)]), flush=True)


if __name__ == "__main__":
    _watch(int(sys.argv[1]))
