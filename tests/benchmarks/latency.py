"""From the last C-STORE response to the worklist, to the SR and to the heat map in the archive; settle time zero."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from tests.benchmarks import rig

_STUDIES = 30
_READY = "SELECT count(*) FROM event WHERE event = 'infer.ready'"
_SENT = "SELECT count(*) FROM delivery WHERE sent_at"


def measure(folder: Path) -> Iterator[str]:
    """Rows of a Markdown table: milliseconds, one study at a time, 15 MB films, documents to dcmtk storescp."""
    yield "| from the last C-STORE response to | median ms | 95th percentile ms |"
    yield "| --- | ---: | ---: |"
    films = rig.write_films(folder / "films", _STUDIES + 2)
    with rig.storescp(folder / "archive") as archive, rig.node(folder / "node", destination=archive) as node:
        database = folder / "node" / "var" / "cxr-node.sqlite"
        await_documents(database, 0, ready=True)
        rows = []
        for number, film in enumerate(films, start=1):
            rig.send(node, [film], 1)
            answered = time.time()
            await_documents(database, 2 * number)
            rows.append(_times(database, answered))
        memory = rig.resident_megabytes(node.pid)
    for title, column in (("its place in the worklist", 0), ("the SR stored", 1), ("the heat map stored", 2)):
        values = [1000 * row[column] for row in rows[2:]]
        yield f"| {title} | {median(values):.0f} | {quantiles(values, n=20)[-1]:.0f} |"
    yield ""
    yield f"Resident memory of the whole node after {len(films)} studies: {memory:.0f} MB."


def throughput(folder: Path) -> Iterator[str]:
    """Sustained studies a second, sender and archive on the same machine."""
    films = rig.write_films(folder / "films", 40)
    with rig.storescp(folder / "archive") as archive, rig.node(folder / "node", destination=archive) as node:
        database = folder / "node" / "var" / "cxr-node.sqlite"
        await_documents(database, 0, ready=True)
        rig.send(node, films[:2], 1)
        await_documents(database, 4)
        began = time.perf_counter()
        rig.send(node, films[2:], 2)
        await_documents(database, 2 * len(films))
        seconds = time.perf_counter() - began
    rate = (len(films) - 2) / seconds
    yield f"End to end, two associations at full speed: {rate:.1f} studies/s (SR and heat map stored)."


def await_documents(database: Path, count: int, *, ready: bool = False, seconds: float = 180.0) -> None:
    until = time.monotonic() + seconds
    question = "SELECT count(*) FROM event WHERE event = 'infer.ready'" if ready else _SENT
    while time.monotonic() < until:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            if connection.execute(question).fetchone()[0] >= max(count, 1):
                return
        time.sleep(0.01)
    raise RuntimeError(f"{count} documents did not arrive in {seconds:g} s")


def _times(database: Path, answered: float) -> tuple[float, float, float]:
    """Seconds after `answered` of the newest study's analysis, SR and SC."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        analysed = connection.execute("SELECT max(analysed_at) FROM result").fetchone()[0]
        sent = dict(
            connection.execute(
                "SELECT kind, sent_at FROM document JOIN delivery USING (sop_instance_uid) "
                "ORDER BY sent_at DESC LIMIT 2"
            ).fetchall()
        )
    return max(0.0, analysed - answered), sent["sr"] - answered, sent["sc"] - answered
