"""What the benchmarks run against: receivers as processes, each in a folder of its own."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STORESCU, STORESCP, ORTHANC = "/usr/bin/storescu", "/usr/bin/storescp", "/usr/sbin/Orthanc"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Receiver:
    """A storage SCP under test. `pid` is that of its main process; `folder` is where it keeps what it got."""

    name: str
    ae_title: str
    port: int
    pid: int
    folder: Path

    def destination(self) -> dict[str, Any]:
        """As a [[destination]] of a node."""
        return {"name": "pacs", "ae_title": self.ae_title, "host": "127.0.0.1", "port": self.port}


@contextmanager
def storescp(folder: Path, *, keeping: bool = True) -> Iterator[Receiver]:
    """dcmtk's receiver. It does not sync what it writes; unless it is `keeping`, it writes nothing."""
    folder.mkdir(parents=True)
    port = free_port()
    command = [
        STORESCP,
        "--fork",
        "+xa",
        "-aet",
        "STORESCP",
        *([] if keeping else ["--ignore"]),
        "-od",
        str(folder),
        str(port),
    ]
    with _process(command, port, env=os.environ | {"TCP_NODELAY": "1"}) as pid:
        yield Receiver("dcmtk storescp", "STORESCP", port, pid, folder)


@contextmanager
def orthanc(folder: Path) -> Iterator[Receiver]:
    """Orthanc with its default storage. It does not sync what it writes either."""
    folder.mkdir(parents=True)
    port = free_port()
    settings = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpServerEnabled": False, "DicomPort": port,
        "DicomAet": "ORTHANC", "DicomAlwaysAllowStore": True, "OverwriteInstances": True, "Plugins": [],
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with _process([ORTHANC, str(folder / "orthanc.json")], port, env=os.environ | {"TCP_NODELAY": "1"}) as pid:
        yield Receiver("Orthanc", "ORTHANC", port, pid, folder)


@contextmanager
def node(
    folder: Path,
    *,
    analysing: bool = True,
    destination: Receiver | None = None,
    launch: Sequence[str] = (),
    places: int = 64,
    loaded: bool = True,
) -> Iterator[Receiver]:
    """This node; with `analysing` off every film is refused by its header, so that only receiving is measured.

    `places` is its cap on associations; `launch` replaces the command that starts it. It has `loaded` its model, or
    answers on its port only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    text = f'[node]\ndata_dir = "{folder}/var"\nmode = "full"\n[receive]\nport = {port}\nmax_associations = {places}\n'
    text += '[study]\nsettle_seconds = 0\n[log]\nlevel = "warning"\n'
    if not analysing:
        text += '[eligibility]\nviews = ["NONE"]\naccept_unknown_view = false\n'
    if destination:
        text += f'[[destination]]\nname = "pacs"\nae_title = "{destination.ae_title}"\nhost = "127.0.0.1"\n'
        text += f"port = {destination.port}\n"
    config = folder / "node.toml"
    config.write_text(text)
    command = [*(launch or (sys.executable, "-m", "cxr_node", "serve")), "-c", str(config)]
    with _process(command, port, env=dict(os.environ), log=folder / "log") as pid:
        if loaded:  # which takes both cores
            await_count(folder, "SELECT count(*) FROM event WHERE event = 'infer.ready'", 1)
        yield Receiver("cxr_node", "CXR_NODE", port, pid, folder)


def await_count(folder: Path, question: str, count: int, seconds: float = 180.0) -> None:
    """Wait until the count that `question` gives, in the database of the node in `folder`, has reached `count`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with closing(database(folder)) as connection:
            if connection.execute(question).fetchone()[0] >= count:
                return
        time.sleep(0.01)
    raise RuntimeError(f"{question}: not {count} within {seconds:g} s")


def await_idle(folder: Path) -> None:
    """Wait until the node in `folder` has done what is to be done now."""
    question = "SELECT count(*) = 0 FROM job WHERE state = 'running' OR state = 'ready' AND not_before <= ?"
    until = time.monotonic() + 600
    while time.monotonic() < until:
        with closing(database(folder)) as connection:
            if connection.execute(question, (time.time() + 5,)).fetchone()[0]:
                return
        time.sleep(0.02)
    raise RuntimeError("the node is busy for 10 minutes")


def database(folder: Path) -> sqlite3.Connection:
    """The database of the node in `folder`, to read."""
    return sqlite3.connect(f"file:{folder / 'var' / 'cxr-node.sqlite'}?mode=ro", uri=True)


@contextmanager
def _process(command: Sequence[str], port: int, env: dict[str, str], log: Path | None = None) -> Iterator[int]:
    with (log or Path(os.devnull)).open("w") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(port, process)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)
    raise RuntimeError(f"{process.args} does not listen on port {port}")


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process and its children; of those that end meanwhile none."""
    total, pids = 0.0, [pid]
    while pids:
        process = Path(f"/proc/{pids.pop()}")
        with suppress(FileNotFoundError, ProcessLookupError):
            lines = (process / "status").read_text().splitlines()
            total += sum(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
            for thread in (process / "task").iterdir():  # a child is listed under the thread that started it
                with suppress(FileNotFoundError, ProcessLookupError):
                    pids += [int(child) for child in (thread / "children").read_text().split()]
    return total


def peak_megabytes(pid: int) -> float:
    """The most resident memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def processor_seconds(pid: int) -> float:
    """What a process and those of its children that have ended have used of the processor."""
    figures = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, figures[11:15])) / os.sysconf("SC_CLK_TCK")


def empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
