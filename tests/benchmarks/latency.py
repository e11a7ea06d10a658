"""From the last C-STORE response to the worklist, to the SR and to the heat map in the archive; settle time zero."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles

from tests.benchmarks import rig

_STUDIES = 30


def measure(folder: Path) -> Iterator[str]:
    """Rows of a Markdown table: milliseconds, one study at a time, 15 MB films, documents to dcmtk storescp."""
    yield "| from the last C-STORE response to | median ms | 95th percentile ms |"
    yield "| --- | ---: | ---: |"
    films = rig.write_films(folder / "films", _STUDIES + 2)
    with rig.storescp(folder / "archive") as archive, rig.node(folder / "node", destination=archive) as node:
        rows = []
        for number, film in enumerate(films, start=1):
            rig.send(node, [film], 1)
            answered = time.time()
            await_documents(folder / "node", 2 * number)
            rows.append(_times(folder / "node", answered))
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
        rig.send(node, films[:2], 1)
        await_documents(folder / "node", 4)
        began = time.perf_counter()
        rig.send(node, films[2:], 2)
        await_documents(folder / "node", 2 * len(films))
        seconds = time.perf_counter() - began
    rate = (len(films) - 2) / seconds
    yield f"End to end, two associations at full speed: {rate:.1f} studies/s (SR and heat map stored)."


def await_documents(folder: Path, count: int) -> None:
    """Wait until so many documents have been delivered by the node in `folder`."""
    rig.await_count(folder, "SELECT count(*) FROM delivery WHERE sent_at", count)


def _times(folder: Path, answered: float) -> tuple[float, float, float]:
    """Seconds after `answered` of the newest study's analysis, SR and SC."""
    with closing(rig.database(folder)) as connection:
        analysed = connection.execute("SELECT max(analysed_at) FROM result").fetchone()[0]
        sent = dict(
            connection.execute(
                "SELECT kind, sent_at FROM document JOIN delivery USING (sop_instance_uid) "
                "ORDER BY sent_at DESC LIMIT 2"
            ).fetchall()
        )
    return max(0.0, analysed - answered), sent["sr"] - answered, sent["sc"] - answered
