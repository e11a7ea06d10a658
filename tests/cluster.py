"""A Ray cluster of several processes on this machine, with the pool on it, for tests from outside.

with Cluster(models) as cluster:
    cluster.pool("deploy", "small:1.0.0")

Nothing stays behind: leaving the `with` ends every process of it.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.node import TIMEOUT, free_port, wait_for

REPLICA, PROXY = "ray::ServeReplica", "ray::ProxyActor"
"""How Ray calls its processes."""
MARK = "CXR_NODE_TEST_CLUSTER"


class Cluster:
    """`models` is the folder whose models are deployed; `address` is where the pool takes requests."""

    def __init__(self, models: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # the paths of its sockets are to be short
        self._gcs, self._port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._file = self.folder / "pool.toml"
        self._file.write_text(f'[model]\ndirectory = "{models}"\n')
        self._environment = os.environ | {
            MARK: str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_memory_monitor_refresh_ms": "0",  # others use this machine's memory, too
        }

    def __enter__(self) -> Self:
        options = [
            f"--port={self._gcs}", f"--ray-client-server-port={free_port()}", "--num-cpus=16", "--num-gpus=0",
            "--include-dashboard=false", f"--dashboard-agent-listen-port={free_port()}", "--disable-usage-stats",
            "--object-store-memory=100000000", f"--temp-dir={self.folder / 'ray'}",
        ]  # fmt: skip
        begun = self._run(str(Path(sys.executable).with_name("ray")), "start", "--head", *options)
        if begun.returncode != 0:
            self.__exit__()
            raise AssertionError(begun.stdout + begun.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self) -> None:
        """SIGKILL for all of it."""
        while living := self._living():
            for pid in living:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_for(lambda known=living: not any(_alive(pid) for pid in known), what="the end of the cluster")

    def pool(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`cxr-node pool` on this cluster; AssertionError where it fails."""
        done = self.tried(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def tried(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same, whatever comes of it."""
        command, *more = arguments
        if command == "deploy":
            more += ["-c", str(self._file), "--port", str(self._port), "--cpus", "0.1"]
        cluster = ["--ray", f"127.0.0.1:{self._gcs}"]
        return self._run(sys.executable, "-m", "cxr_node", "pool", command, *more, *cluster)

    def processes(self, called: str) -> list[int]:
        """The living processes that Ray calls so."""
        return [pid for pid in self._living() if title(pid).startswith(called)]

    def kill(self, called: str, number: int = signal.SIGKILL) -> int:
        """Signal one process that Ray calls so; its number."""
        pid = wait_for(lambda: self.processes(called), what=called)[0]
        os.kill(pid, number)
        return pid

    def _run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self._environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * TIMEOUT,
        )

    def _living(self) -> list[int]:
        return living(str(self.folder))


def living(mark: str) -> list[int]:
    """The processes with a `mark` in their environment (`MARK`), and their children, some of which write their titles
    over their marks."""
    sought = f"{MARK}={mark}".encode()
    parents: dict[int, int] = {}
    marked = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if sought in (folder / "environ").read_bytes().split(b"\0"):
                marked.add(int(folder.name))
    return [pid for pid, parent in parents.items() if pid in marked or parent in marked]


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
