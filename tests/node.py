"""A real node as a process, and the modality that sends to it: for tests from outside.

with Node(tmp_path, study__settle_seconds=0.2) as node:
    node.send(chest())
    node.wait_idle()
    assert node.study(uid)["outputs"]

Nothing stays behind: leaving the `with` ends the node and whatever it started.
"""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, _config
from pynetdicom.association import Association

from cxr_node import config as configuration
from cxr_node import views
from cxr_node.plan import database_of, open_store
from tests.toml import toml

T = TypeVar("T")
LEDGER: Counter[str] = Counter()
"""Over all nodes of this process: how many objects were `acknowledged`, and how many of them `lost`."""

TIMEOUT = 120.0  # generous: the machine may be busy with other things

_config.STORE_SEND_CHUNKED_DATASET = True  # files are sent as the bytes that they are, sound or not


def wait_for(condition: Callable[[], T], timeout: float = TIMEOUT, what: str = "the condition") -> T:
    """The first true value of `condition`, asked for again and again; AssertionError after `timeout` seconds."""
    until = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < until, f"{what} did not come true within {timeout:g} s"
        time.sleep(0.05)
    return value


def listens(port: int) -> bool:
    """Without connecting, which a peer would take for a caller."""
    wanted = f":{port:04X} 00000000:0000 0A"
    return any(wanted in line for line in Path("/proc/net/tcp").read_text().splitlines())


_PORTS = range(20_000, 32_000)  # below those that the system gives to connections (from 32768 on)
_candidates = itertools.cycle(random.sample(_PORTS, len(_PORTS)))


def free_port() -> int:
    """A port that nobody listens on, for somebody who will later.

    As long as this process lives it keeps UDP's port of the same number, so that no other run of tests takes it.
    """
    while True:
        port = next(_candidates)
        with socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as claim, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            claim.bind(("127.0.0.1", port))
            claim.detach()
            return port


class Node:
    """A node with a folder of its own. `overrides` are section__key=value; `destinations`, `modalities`, `subscribers`
    and `told` are [[destination]], [[modality]], [[subscriber]] and [[worklist.hl7]] tables, `environment` is added to
    that of the process; `within` is a command that runs it, such as `ip netns exec NAME`.

    The views work after the node has ended, too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        destinations: Sequence[dict[str, Any]] = (),
        modalities: Sequence[dict[str, Any]] = (),
        subscribers: Sequence[dict[str, Any]] = (),
        told: Sequence[dict[str, Any]] = (),
        environment: dict[str, str] | None = None,
        within: Sequence[str] = (),
        **overrides: Any,
    ) -> None:
        self.folder, self._within = folder, within
        self.file, self._log = folder / "cxr-node.toml", folder / "node.log"
        self._inbox = folder / "sent"
        self._process: subprocess.Popen[bytes] | None = None
        tables: dict[str, dict[str, Any]] = {
            "node": {"data_dir": str(folder / "node"), "mode": "full"},
            "receive": {"port": free_port(), "timeout_seconds": 20},
            "study": {"settle_seconds": 0.2, "max_wait_seconds": 60},
            "inference": {"device": "cpu"},
            "retention": {"watermark_gigabytes": 0},
            "log": {"format": "json"},
            "web": {"enabled": False},
        }
        for name, value in overrides.items():
            section, _, key = name.partition("__")
            tables.setdefault(section, {})[key] = value
        folder.mkdir(parents=True, exist_ok=True)
        repeated = {
            "destination": destinations,
            "modality": modalities,
            "subscriber": subscribers,
            "worklist.hl7": told,
        }
        self.file.write_text(toml(tables, repeated), "utf-8")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CXR_NODE")}
        self._environment = clean | (environment or {}) | {configuration.FILE_VARIABLE: str(self.file)}
        self.acknowledged: set[str] = set()
        self.port, self.data = int(tables["receive"]["port"]), Path(tables["node"]["data_dir"])

    # -- the process

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Start, or start again; returns when the port answers."""
        process = self.launch()
        wait_for(lambda: views.answers(self.config) or process.poll() is not None, what="a listening node")
        assert process.poll() is None, f"the node ended with {process.returncode}:\n{self.log()}"
        return self

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it, and do not wait: one that stands by does not listen."""
        self._started_before = len(self.logged("infer.ready"))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._within, sys.executable, "-m", "cxr_node", "serve"],
                env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        return self._process

    def analysing(self) -> Self:
        """Returns when the model is loaded and films are judged."""
        wait_for(lambda: len(self.logged("infer.ready")) > self._started_before, what="a node that analyses")
        return self

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit status, when the daemon has ended."""
        assert self._process is not None
        return self._process.wait(TIMEOUT)

    def kill(self, role: str = "serve") -> None:
        """SIGKILL for the process of a role alone, if it is there; the others find out by themselves."""
        for pid in self.processes(role):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if role == "serve" and self._process is not None:
            self._process.wait(TIMEOUT)

    def close(self) -> None:
        """End the node and every process that it started."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
            self._process.kill()
            self._process.wait()
        self.kill("")
        lost = self.lost()
        LEDGER["lost"] += len(lost)
        assert not lost, f"acknowledged and lost: {lost}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that listens."""
        assert self._process is not None
        return self._process.pid

    def processes(self, role: str = "") -> list[int]:
        """The node's living processes: all, or those that run `serve`, `infer` or `work`, orphans too."""
        mark = f"{configuration.FILE_VARIABLE}={self.file}".encode()
        return [
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit()
            and mark in _read(folder / "environ").split(b"\0")
            and (not role or role.encode() in _read(folder / "cmdline").split(b"\0"))
        ]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the node's own, such as command("status", "--json")."""
        return subprocess.run(
            [sys.executable, "-m", "cxr_node", *arguments],
            env=self._environment, capture_output=True, text=True, check=False, timeout=TIMEOUT,
        )  # fmt: skip

    # -- the modality

    @contextmanager
    def association(self, *contexts: tuple[str, str], calling: str = "MODALITY") -> Iterator[Association]:
        """An association for these (SOP class, transfer syntax) pairs, accepted or not; released at the end."""
        ae = AE(ae_title=calling)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = TIMEOUT
        for sop_class, syntax in dict.fromkeys(contexts or [("1.2.840.10008.1.1", "1.2.840.10008.1.2")]):
            ae.add_requested_context(sop_class, syntax)
        association = ae.associate("127.0.0.1", self.port, ae_title=self.config.node.ae_title)
        try:
            yield association
        finally:
            if association.is_established:
                association.release()

    def store(self, *films: Dataset | Path, calling: str = "MODALITY") -> list[Dataset]:
        """Send films over one association; each answer with its Status and ErrorComment, empty where none came."""
        paths = [film if isinstance(film, Path) else self.written(film) for film in films]
        metas = [pydicom.filereader.read_file_meta_info(path) for path in paths]
        contexts = [(UID(m.MediaStorageSOPClassUID), UID(m.TransferSyntaxUID)) for m in metas]
        with self.association(*contexts, calling=calling) as association:
            assert association.is_established, "no association, or no presentation context was accepted"
            with pydicom.config.disable_value_validation():
                answers = [association.send_c_store(path) for path in paths]
        taken = {str(m.MediaStorageSOPInstanceUID) for m, a in zip(metas, answers, strict=True) if a.get("Status") == 0}
        LEDGER["acknowledged"] += len(taken - self.acknowledged)
        self.acknowledged |= taken
        return answers

    def send(self, *films: Dataset | Path, expect: int = 0x0000, calling: str = "MODALITY") -> str:
        """Send films over one association, each to be answered with status `expect`; the last answer's comment."""
        answers = self.store(*films, calling=calling)
        given = [f"0x{answer.Status:04X}" if "Status" in answer else "none" for answer in answers]
        assert set(given) == {f"0x{expect:04X}"}, f"answered {given}: {answers[-1].get('ErrorComment', '')}"
        return str(answers[-1].get("ErrorComment", ""))

    def echoes(self) -> bool:
        """Whether C-ECHO is answered with success."""
        with self.association() as association:
            return association.is_established and association.send_c_echo().get("Status") == 0x0000

    def written(self, film: Dataset) -> Path:
        """A film as a file, with exactly the attributes that it has."""
        self._inbox.mkdir(exist_ok=True)
        path = self._inbox / f"{len(list(self._inbox.iterdir()))}.dcm"
        with pydicom.config.disable_value_validation(), warnings.catch_warnings(action="ignore"):
            pydicom.dcmwrite(path, film, enforce_file_format=False)
        return path

    # -- what it knows

    @property
    def config(self) -> configuration.Config:
        return configuration.load(self.file, environment={})

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.command("status", "--json").stdout))

    def worklist(self) -> list[dict[str, Any]]:
        with closing(open_store(self.config)) as store:
            return views.reading_order(self.config, store, time.time())

    def study(self, uid: str) -> dict[str, Any]:
        """The study as `study --json` shows it; empty while no film of it was stored."""
        with closing(open_store(self.config)) as store:
            return views.study(store, str(uid)) or {}

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Straight from the database, for what no command shows."""
        with closing(open_store(self.config)) as store, store.reading() as tx:
            return tx.rows(sql, parameters)

    def events(self, name: str, study: str | None = None) -> list[dict[str, Any]]:
        """The events of a name, of one study or of all."""
        rows = self.rows("SELECT * FROM event WHERE event = ? AND ? IN ('', study_instance_uid)", name, study or "")
        return [json.loads(row["detail"]) for row in rows]

    def lost(self) -> set[str]:
        """The objects that `store` was told 0x0000 for and that the node knows nothing of."""
        if not self.acknowledged or not database_of(self.config).is_file():
            return set()
        kept = {row["sop_instance_uid"] for row in self.rows("SELECT sop_instance_uid FROM instance")}
        recorded = {event["sop_instance_uid"] for event in self.events("object.dropped")}
        return self.acknowledged - kept - recorded - {event["note"] for event in self.events("note.received")}

    def wait_idle(self, timeout: float = TIMEOUT) -> None:
        """Until no job is ready, running or waiting for its time."""
        busy = "SELECT kind FROM job WHERE state IN ('ready', 'running')"
        try:
            wait_for(lambda: not self.rows(busy), timeout)
        except AssertionError as error:
            raise AssertionError(f"jobs left: {self.rows(busy)}\n{self.log()[-4000:]}") from error

    def wait_final(self, *studies: str, timeout: float = TIMEOUT) -> list[dict[str, Any]]:
        """Until each study is analysed or shown as not analysed and nothing is left to do; the studies."""
        self.wait_idle(timeout)
        waiting = [entry for entry in self.worklist() if entry["state"] == "waiting"]
        assert not waiting, f"still waiting, with nothing to do: {waiting}"
        return [self.study(uid) for uid in studies]

    def log(self) -> str:
        """Everything that it wrote to standard output and standard error, over all its starts."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of an event."""
        lines = [line for line in self.log().splitlines() if line.startswith("{") and line.endswith("}")]
        return [entry for line in lines if (entry := json.loads(line)).get("event") == event]

    def files(self, folder: str) -> list[Path]:
        """The files of one folder of the spool: incoming, films, quarantine or outbox."""
        return sorted(path for path in (self.data / folder).rglob("*") if path.is_file())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
