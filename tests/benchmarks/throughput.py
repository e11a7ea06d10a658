"""Studies a second from end to end, all the time; and what they would be if sender and archive were elsewhere."""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import rig
from tests.benchmarks.figures import Figure, Scale
from tests.benchmarks.load import Films, send

ROW, HERE, ELSEWHERE = "SR and heat map stored", "all on this machine", "their share of the processor taken out"
DONE = "SELECT count(*) FROM delivery WHERE sent_at"


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Films of the first size over two associations at full speed, documents to dcmtk's storescp."""
    films, count, done = Films(folder / "films", next(iter(scale.sizes.values()))), 6 * scale.batch, 0
    rates, freed, memory = [], [], []
    with rig.storescp(folder / "archive") as archive, rig.node(folder / "node", destination=archive) as node:
        for number in range(scale.rounds + 1):
            used = _elsewhere(archive)
            began = time.perf_counter()
            send(node, films.make(count), 2)
            done += 2 * count
            rig.await_count(node.folder, DONE, done)
            seconds = time.perf_counter() - began
            if number:  # the first round warms up
                rates.append(count / seconds)
                share = (_elsewhere(archive) - used) / (seconds * (os.cpu_count() or 1))
                freed.append(rates[-1] / max(0.1, 1 - share))
                memory.append(rig.resident_megabytes(node.pid))
    yield Figure(ROW, HERE, "studies/s", rates)
    yield Figure(ROW, ELSEWHERE, "studies/s", freed)
    yield Figure(ROW, "resident memory of the whole node", "MB", memory)


def _elsewhere(archive: rig.Receiver) -> float:
    """Seconds of the processor that senders and archive have used."""
    senders = resource.getrusage(resource.RUSAGE_CHILDREN)
    return senders.ru_utime + senders.ru_stime + rig.processor_seconds(archive.pid)
