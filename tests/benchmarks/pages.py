"""The web side with many open studies: pages and JSON, while nothing changes and while everything does."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from cxr_node import config, keys
from cxr_node.domain.finding import Tier
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor
from cxr_node.plan import database_of
from cxr_node.store import events, reading, worklist
from cxr_node.store.db import Store
from tests.bench import NOON, add_film, add_result, header, study_uid
from tests.benchmarks.figures import Figure, Scale
from tests.node import free_port, wait_for
from tests.toml import toml

STILL, MOVING = "nothing has changed", "something has, each time"
_WATCHERS = 200


def measure(folder: Path, scale: Scale) -> Iterator[Figure | str]:
    """Milliseconds of requests, one after the other."""
    studies = scale.open_studies
    store, port, file = _filled(folder, studies)
    with _serving(file, port):
        name = keys.pseudonyms(folder, create=False).study(study_uid(studies // 2))
        for title, path in (
            ("`GET /api/worklist`, all of them", "/api/worklist"),
            ("the worklist page", "/"),
            ("the page of a study", f"/studies/{name}"),
            ("`GET /metrics`", "/metrics"),
        ):
            _get(port, path)
            still = _timed(lambda path=path: _get(port, path), lambda: None, scale.repeats)
            moving = _timed(lambda path=path: _get(port, path), lambda: _happen(store, studies // 2), scale.repeats)
            yield Figure(title, STILL, "ms", still, tail=True)
            yield Figure(title, MOVING, "ms", moving, tail=True)
        yield (
            f"With {studies:,} open studies. An event of another process, which rings no bell, reaches {_WATCHERS} "
            f"watchers, all of them, within {_told(store, port, studies // 2):.0f} ms of its commit: it is looked for "
            "twice a second."
        )


def _filled(folder: Path, studies: int) -> tuple[Store, int, Path]:
    port, file = free_port(), folder / "node.toml"
    tables = {
        "node": {"data_dir": str(folder), "mode": "full"},
        "web": {"port": port},
        "receive": {"port": free_port()},
    }
    file.write_text(toml(tables, {}))
    store = Store.open(database_of(config.load(file, {})))
    keys.pseudonyms(folder, create=True)
    with store.transaction() as tx:
        for number in range(studies):
            facts = {"accession_number": f"A{number}", "patient_id": f"P{number}"}
            worklist.arrive(tx, header(number, **facts), NOON + number)
            add_result(tx, add_film(tx, number, at=NOON + number, **facts), (number % 100) / 100)
            events.append(tx, NOON + number, "instance.stored", study_uid(number))
        tx.execute("UPDATE worklist_entry SET state = 'analysed', probability = 0.1, threshold = 0.3")
        tx.execute("UPDATE worklist_entry SET tier = ? WHERE rowid % 10 = 0", (Tier.HIGH,))
    return store, port, file


@contextmanager
def _serving(file: Path, port: int) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "cxr_node", "web", "-c", str(file)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(port), 60, "a web page")
        yield
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(30)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _get(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200, (path, answer.status)


def _timed(act: Callable[[], None], before: Callable[[], None], repeats: int) -> list[float]:
    took = []
    for _ in range(repeats):
        before()
        began = time.perf_counter()
        act()
        took.append(1000 * (time.perf_counter() - began))
    return took


def _happen(store: Store, number: int) -> None:
    """A study goes to the front of the list, or back from there."""
    with store.transaction() as tx:
        in_front = tx.row("SELECT 1 FROM worklist_entry WHERE priority = 'stat'")
        reading.prioritise(tx, study_uid(number), None if in_front else Priority.STAT, Actor("bench"), time.time())


def _told(store: Store, port: int, number: int) -> float:
    """Milliseconds until every watcher has read an event; the median of several."""
    took = []
    with ExitStack() as watching:
        streams = []
        for _ in range(_WATCHERS):
            caller = watching.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            caller.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            streams.append(watching.enter_context(caller.makefile("rb")))
        for stream in streams:
            while not stream.readline().startswith(b"retry:"):
                pass
        for _ in range(5):
            _happen(store, number)
            began = time.perf_counter()
            with store.reading() as tx:
                newest = b"id: %d\n" % events.last(tx)
            for stream in streams:
                while stream.readline() != newest:
                    pass
            took.append(1000 * (time.perf_counter() - began))
    return median(took)
