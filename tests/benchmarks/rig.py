"""What the benchmarks run against: receivers as processes, films on disk, dcmtk's storescu as the load."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian

from cxr_node.demo.phantom import project
from cxr_node.domain.uid import derive_uid
from tests.films import chest

STORESCU, STORESCP, ORTHANC = "/usr/bin/storescu", "/usr/bin/storescp", "/usr/sbin/Orthanc"
_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_films(folder: Path, count: int, rows: int = 3000, columns: int = 2500) -> list[Path]:
    """`count` DX films of different patients, 16 bits, explicit VR little endian; 15 MB each at the default size."""
    folder.mkdir(parents=True)
    film = chest(1, pixels=project(rows=rows, columns=columns, seed=1))
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    paths = []
    for number in range(count):
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(film, keyword, derive_uid("2.25", [keyword, str(folder), str(number)]))
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
        film.PatientID = f"BENCH-{number:04d}"
        paths.append(folder / f"{number:04d}.dcm")
        film.save_as(paths[-1], enforce_file_format=True)
    return paths


@dataclass(frozen=True, slots=True)
class Receiver:
    """A storage SCP under test. `pid` is that of its main process."""

    name: str
    ae_title: str
    port: int
    pid: int

    def destination(self) -> dict[str, Any]:
        """As a [[destination]] of a node."""
        return {"name": "pacs", "ae_title": self.ae_title, "host": "127.0.0.1", "port": self.port}


def send(receiver: Receiver, films: Sequence[Path], associations: int) -> float:
    """Send all films, dealt over so many simultaneous associations; the seconds until all were acknowledged."""
    hands = [films[start::associations] for start in range(associations)]
    began = time.perf_counter()
    senders = [
        subprocess.Popen(
            [STORESCU, "-xe", "-aec", receiver.ae_title, "127.0.0.1", str(receiver.port), *map(str, hand)],
            env=os.environ | {"TCP_NODELAY": "1"},
            **_QUIET,
        )
        for hand in hands
    ]
    statuses = [sender.wait() for sender in senders]
    if any(statuses):
        raise RuntimeError(f"{receiver.name} did not take every film")
    return time.perf_counter() - began


@contextmanager
def storescp(folder: Path, *, keeping: bool = True) -> Iterator[Receiver]:
    """dcmtk's receiver. It does not sync what it writes; unless it is `keeping`, it writes nothing."""
    folder.mkdir(parents=True)
    port = free_port()
    command = [
        STORESCP,
        "--fork",
        "-aet",
        "STORESCP",
        *([] if keeping else ["--ignore"]),
        "-od",
        str(folder),
        str(port),
    ]
    with _process(command, port, env=os.environ | {"TCP_NODELAY": "1"}) as pid:
        yield Receiver("dcmtk storescp", "STORESCP", port, pid)


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
        yield Receiver("Orthanc", "ORTHANC", port, pid)


@contextmanager
def node(
    folder: Path,
    *,
    analysing: bool = True,
    destination: Receiver | None = None,
    launch: Sequence[str] = (),
    places: int = 64,
) -> Iterator[Receiver]:
    """This node; with `analysing` off every film is refused by its header, so that only receiving is measured.

    `places` is its cap on associations; `launch` replaces the command that starts it.
    """
    folder.mkdir(parents=True)
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
        await_count(
            folder, "SELECT count(*) FROM event WHERE event = 'infer.ready'", 1
        )  # loading torch takes both cores
        yield Receiver("cxr_node", "CXR_NODE", port, pid)


def await_count(folder: Path, question: str, count: int, seconds: float = 180.0) -> None:
    """Wait until the count that `question` gives, in the database of the node in `folder`, has reached `count`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with closing(database(folder)) as connection:
            if connection.execute(question).fetchone()[0] >= count:
                return
        time.sleep(0.01)
    raise RuntimeError(f"{question}: not {count} within {seconds:g} s")


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
        time.sleep(0.02)
    raise RuntimeError(f"{process.args} does not listen on port {port}")


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process and its children."""
    total, pids = 0.0, [pid]
    while pids:
        process = Path(f"/proc/{pids.pop()}")
        lines = (process / "status").read_text().splitlines()
        total += next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
        for thread in (process / "task").iterdir():  # a child is listed under the thread that started it
            pids += [int(child) for child in (thread / "children").read_text().split()]
    return total


def peak_megabytes(pid: int) -> float:
    """The most resident memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
