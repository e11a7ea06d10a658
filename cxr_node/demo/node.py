"""The node of the demonstration: the real one, as a process with a configuration of its own."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from cxr_node import config as configuration
from cxr_node import views
from cxr_node.dimse import sender
from cxr_node.errors import Permanent, Transient
from cxr_node.plan import open_store

CALLING = "MODALITY"
_READY_SECONDS = 180.0  # loading a network on a busy machine with two cores takes a while
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.2


class Node:
    """A node in `folder`, which delivers to the archive at `archive_port` of this machine.

    `settle` is how long it waits for further films of a study, in seconds. Every method raises Permanent (DEMO_NODE)
    when the node has ended by itself, and says where its log is.
    """

    def __init__(self, folder: Path, archive_ae_title: str, archive_port: int, settle: float) -> None:
        self.file, self.log, self.port = folder / "cxr-node.toml", folder / "node.log", _free_port()
        self.file.write_text(_toml(folder / "node", self.port, archive_ae_title, archive_port, settle), "utf-8")
        self.config = configuration.load(self.file, environment={})
        self.peer = sender.Peer("the node", self.config.node.ae_title, self.config.receive.host, self.port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is not ready yet. Its environment overrides nothing of the configuration."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CXR_NODE")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cxr_node", "serve", "-c", str(self.file)],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def wait_ready(self) -> str:
        """Until it answers C-ECHO and its model is loaded: the model and the device."""
        until = time.monotonic() + _READY_SECONDS
        while not (views.answers(self.config) and self._echoes()):
            self._pause(until, "does not answer C-ECHO")
        with closing(open_store(self.config, create=False)) as store:
            while not (status := views.status(self.config, store, time.time()))["ready"]:
                if status["inference"]["state"] == "unavailable":
                    raise self._failure(f"cannot analyse: {status['inference']['reason']}")
                self._pause(until, "has not loaded its model")
        return f"{status['model']} on {status['device']}"

    def require_running(self) -> None:
        if self._process is None or self._process.poll() is not None:
            status = self._process.returncode if self._process else "no"
            raise self._failure(f"ended by itself with {status} as its exit status")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not heed it; its children end with it."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self._process.kill()
        self._process.wait()

    def _echoes(self) -> bool:
        try:
            sender.echo(self.peer, CALLING)
        except Transient:
            return False
        return True

    def _pause(self, until: float, complaint: str) -> None:
        self.require_running()
        if time.monotonic() > until:
            raise self._failure(f"{complaint} after {_READY_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)

    def _failure(self, complaint: str) -> Permanent:
        lines = self.log.read_text("utf-8", "replace").splitlines()
        last = f"\n  {lines[-1][:400]}" if lines else ""
        return Permanent("DEMO_NODE", f"the node {complaint}. Its log is {self.log}, which ends with:{last}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _toml(data_dir: Path, port: int, archive_ae_title: str, archive_port: int, settle: float) -> str:
    # What JSON writes for a string, TOML reads as the same string.
    return f"""# The node of the demonstration.
[node]
data_dir = {json.dumps(str(data_dir), ensure_ascii=False)}
mode = "full"

[receive]
port = {port}

[study]
settle_seconds = {settle}  # in service 120: technologists repeat and add views

[web]
enabled = false

[log]
format = "json"

[[destination]]
name = "archive"
ae_title = {json.dumps(archive_ae_title)}
host = "127.0.0.1"
port = {archive_port}
"""
