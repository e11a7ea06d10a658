"""How long after its start the node takes films, and how long until it judges them."""

import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import rig
from tests.benchmarks.figures import Figure, Scale

READY, ROW = "answers on its port", "from the start of the command"


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """The same node again and again, in a folder that it knows."""
    answering, judging = [], []
    for number in range(scale.rounds + 2):
        began = time.perf_counter()
        with rig.node(folder / "node", loaded=False):
            answered = time.perf_counter() - began
            rig.await_count(folder / "node", "SELECT count(*) FROM event WHERE event = 'infer.ready'", number + 1)
            if number:  # the first one makes the database, and reads all programs from the disk
                answering.append(answered)
                judging.append(time.perf_counter() - began)
    yield Figure(ROW, READY, "s", answering)
    yield Figure(ROW, "judges films", "s", judging)
