"""How soon many subscribers have all heard of a film.

They are a process of their own: `python -m tests.benchmarks.subscribers PORT`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cxr_node.domain.workitem import GLOBAL
from tests.benchmarks.figures import Figure, Scale
from tests.films import chest
from tests.node import Node, free_port
from tests.steps import Watcher, Workstation


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """From the last response of C-STORE to the last N-EVENT-REPORT that was received; each has an association."""
    port, subscribers = free_port(), 2 * max(scale.crowd)
    took: list[float] = []
    titles = [f"VIEWER{number}" for number in range(subscribers)]
    tables = [{"ae_title": title, "host": "127.0.0.1", "port": port} for title in titles]
    command = [sys.executable, "-m", "tests.benchmarks.subscribers", str(port)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watching,
        Node(folder, subscribers=tables) as node,
    ):
        with Workstation(node.port) as station:
            for title in titles:
                assert station.subscribe(GLOBAL, title) == 0x0000
        for _ in range(scale.rounds + 2):
            node.send(chest())
            sent = time.time()
            node.wait_idle()
            took.append(_last(watching, subscribers) - sent)
        assert watching.stdin
        watching.stdin.close()
    yield Figure(f"{subscribers} subscribers", "until the last has heard of a film", "s", took)


def _last(watching: subprocess.Popen[str], subscribers: int) -> float:
    """When the last report came, in seconds since 1970 UTC; each subscriber has had one."""
    assert watching.stdin
    assert watching.stdout
    watching.stdin.write("\n")
    watching.stdin.flush()
    count, last = json.loads(watching.stdout.readline())
    assert count == subscribers
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
