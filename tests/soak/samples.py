"""What a running node uses, sample by sample, and whether it stays flat."""

import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median

import numpy as np

from tests.node import Node

PROCESSES = ("serve", "infer", "work", "cxr_node.decoding")
"""By what their command lines say; a node that is sampled has one decoder."""
WARM_UP = 0.25  # of the time: caches fill, and allocators find their size
_MEGABYTE = 1 << 20
_OF_THE_NODE = """
    SELECT (SELECT count(*) FROM worklist_entry) AS studies,
        (SELECT count(*) FROM job WHERE state IN ('ready', 'running')) AS queued,
        (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) AS bytes
"""
_WAITS = """
    SELECT max(v.sent_at) - min(i.received_at) AS seconds
    FROM delivery v JOIN document d USING (sop_instance_uid) JOIN instance i USING (study_instance_uid)
    WHERE v.sent_at > ? GROUP BY study_instance_uid
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the CSV file.

    `seconds` since the start; `latency`: the median, in seconds, from a film's receipt to the last of its documents at
    the destination, of the films finished since the sample before; memory in MB (resident), the database in kB a study.
    """

    seconds: float
    studies: int
    queued: int
    latency: float
    database: float
    serve_memory: float
    infer_memory: float
    work_memory: float
    decoder_memory: float
    serve_files: int
    infer_files: int
    work_files: int
    decoder_files: int
    serve_threads: int
    infer_threads: int
    work_threads: int
    decoder_threads: int


_SHARE, _COUNT = 0.05, 0.9
FLAT = {
    "serve_memory": ("listener: memory, MB", _SHARE),
    "infer_memory": ("inference: memory, MB", _SHARE),
    "work_memory": ("documents: memory, MB", _SHARE),
    "decoder_memory": ("decoder: memory, MB", _SHARE),
    "serve_files": ("listener: open files", _COUNT),
    "infer_files": ("inference: open files", _COUNT),
    "work_files": ("documents: open files", _COUNT),
    "decoder_files": ("decoder: open files", _COUNT),
    "serve_threads": ("listener: threads", _COUNT),
    "infer_threads": ("inference: threads", _COUNT),
    "work_threads": ("documents: threads", _COUNT),
    "decoder_threads": ("decoder: threads", _COUNT),
    "database": ("database, kB a study", _SHARE),
}
"""What has to stay flat: its title, and what it may grow by from the end of the warm-up to the end of the run.

Memory and database: as a share of the median. Files and threads: by less than one.
"""


def take(node: Node, began: float, since: float) -> Sample | None:
    """A sample now; `since`: the time of the one before. None while a process of the node is not there."""
    processes = [node.processes(name) for name in PROCESSES]
    if any(len(found) != 1 for found in processes):
        return None
    try:
        used = [_used(pid) for (pid,) in processes]
    except OSError:
        return None
    memory, files, threads = zip(*used, strict=True)
    (state,) = node.rows(_OF_THE_NODE)
    waits = [row["seconds"] for row in node.rows(_WAITS, since)]
    latency = median(waits) if waits else 0.0
    database = state["bytes"] / 1000 / max(1, state["studies"])
    return Sample(time.time() - began, state["studies"], state["queued"], latency, database, *memory, *files, *threads)


def _used(pid: int) -> tuple[float, int, int]:
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    memory = pages * 4096 / _MEGABYTE
    return memory, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


def column(samples: Sequence[Sample], name: str) -> list[float]:
    return [float(getattr(sample, name)) for sample in samples]


def growth(settled: Sequence[Sample], name: str) -> float:
    """How much a column grows from the first of these samples to the last: the slope of Theil and Sen times that time.

    The slope is the median of those between all pairs of samples, so that a spike here or there says nothing.
    """
    when, values = np.array(column(settled, "seconds")), np.array(column(settled, name))
    first, second = np.triu_indices(len(when), 1)
    slope = np.median((values[second] - values[first]) / (when[second] - when[first]))
    return float(slope * (when[-1] - when[0]))


@dataclass(frozen=True, slots=True)
class Judged:
    """One column after the warm-up."""

    title: str
    median: float
    largest: float
    growth: float
    flat: bool


def verdicts(taken: Sequence[Sample]) -> Iterator[Judged]:
    """Each column that has to be flat, and whether it is."""
    settled = taken[int(len(taken) * WARM_UP) :]
    for name, (title, limit) in FLAT.items():
        values, grown = column(settled, name), growth(settled, name)
        allowed = limit if limit is _COUNT else limit * median(values)
        yield Judged(title, median(values), max(values), grown, grown < allowed)


def append(path: Path, sample: Sample) -> None:
    """Add a line to the CSV file; the first has the names above it."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        if new:
            writer.writeheader()
        writer.writerow({name: round(value, 3) for name, value in asdict(sample).items()})
