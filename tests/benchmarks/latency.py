"""From the last C-STORE response to the worklist, to the SR and to the heat map in the archive; settle time zero.

One study after the other, and as they come in a hospital: each at its own time, whether or not those of before are
done. There it counts from the moment at which the study was to be sent, so that all waiting is in it.
"""

import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from tests.benchmarks import rig
from tests.benchmarks.figures import Figure, Scale
from tests.benchmarks.load import Films, send, sender

PLACE, SR, HEATMAP = "its place in the worklist", "the SR stored", "the heat map stored"
GROUP = "from the last C-STORE response, or from when it was due, to"
ALONE, ROW = "one after the other", "resident memory of the whole node after it"
_RATES = (1.0, 3.0)  # studies a second
_STUDIES = """
    SELECT study_instance_uid, max(r.analysed_at) AS analysed_at,
        max(iif(d.kind = 'sr', v.sent_at, 0)) AS sr, max(iif(d.kind = 'sc', v.sent_at, 0)) AS sc
    FROM instance i JOIN result r ON r.instance_digest = i.digest JOIN document d USING (study_instance_uid)
    JOIN delivery v ON v.sop_instance_uid = d.sop_instance_uid GROUP BY study_instance_uid
"""


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Milliseconds for films of the first size, documents to dcmtk's storescp."""
    shape = next(iter(scale.sizes.values()))
    with rig.storescp(folder / "archive") as archive, rig.node(folder / "node", destination=archive) as node:
        alone = _alone(node, Films(folder / "alone", shape), scale)
        yield from _figures(alone, ALONE)
        for rate in _RATES:
            arriving = _arriving(node, Films(folder / f"{rate}", shape), scale.arrivals, rate)
            yield from _figures(arriving, f"{rate:g} a second, at random")
        yield Figure(ROW, "memory", "MB", [rig.resident_megabytes(node.pid)], "memory")


def _alone(node: rig.Receiver, films: Films, scale: Scale) -> list[tuple[float, ...]]:
    """For each study the milliseconds after the last response."""
    answered: dict[str, float] = {}
    for number in range(scale.repeats + 2):
        (film,) = films.make(1)
        send(node, [film], 1)
        if number > 1:  # the first ones warm up
            answered[films.study(film)] = time.time()
        rig.await_idle(node.folder)
    return _after(node, answered)


def _arriving(node: rig.Receiver, films: Films, count: int, rate: float) -> list[tuple[float, ...]]:
    """The same after the moment at which each was to be sent; arrivals are a Poisson process."""
    chance, due, moment = random.Random(1), {}, time.time() + 1
    paths = films.make(count)
    senders = []
    for path in paths:
        moment += chance.expovariate(rate)
        due[films.study(path)] = moment
    for path, moment in zip(paths, list(due.values()), strict=True):
        senders.append(threading.Timer(max(0.0, moment - time.time()), lambda path=path: sender(node, [path]).wait()))
        senders[-1].start()
    for each in senders:
        each.join()
    rig.await_idle(node.folder)
    return _after(node, due)


def _after(node: rig.Receiver, moments: Mapping[str, float]) -> list[tuple[float, ...]]:
    with closing(rig.database(node.folder)) as connection:
        rows = {row[0]: row[1:] for row in connection.execute(_STUDIES)}
    return [tuple(1000 * max(0.0, each - moment) for each in rows[study]) for study, moment in moments.items()]


def _figures(taken: list[tuple[float, ...]], column: str) -> Iterator[Figure]:
    for title, samples in zip((PLACE, SR, HEATMAP), zip(*taken, strict=True), strict=True):
        yield Figure(title, column, "ms", samples, GROUP, tail=True)
