"""The service as systemd meets it: units that verify, and the whole protocol against a real notification socket."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.films import chest
from tests.node import Node, wait_for
from tests.toml import toml

UNITS = Path(__file__).parents[2] / "systemd"
SYSTEM = Path("/usr/lib/systemd/system")
ANALYZE = shutil.which("systemd-analyze")
with_systemd = pytest.mark.skipif(ANALYZE is None or not SYSTEM.is_dir(), reason="systemd is not installed")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with the units in it, and a program where they look for one."""
    shutil.copytree(SYSTEM, tmp_path / "usr/lib/systemd/system", symlinks=True)
    shutil.copy(UNITS / "cxr-node.service", tmp_path / "usr/lib/systemd/system")
    for program in ("opt/cxr-node/bin/cxr-node", "bin/sh"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    return tmp_path


def with_gpu(root: Path) -> None:
    shutil.copytree(UNITS / "cxr-node.service.d", root / "etc/systemd/system/cxr-node.service.d")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)


@with_systemd
@pytest.mark.parametrize("gpu", [False, True])
def test_the_unit_verifies_and_exposes_little(root: Path, gpu: bool) -> None:
    if gpu:
        with_gpu(root)
    verified = analyze(f"--root={root}", "verify", "cxr-node.service")
    ours = [line for line in verified.stderr.splitlines() if "cxr-node" in line]
    assert (verified.returncode, ours) == (0, [])
    judged = analyze("security", f"--root={root}", "--offline=yes", "cxr-node.service")
    found = re.search(r"exposure level for cxr-node.service: ([0-9.]+)", judged.stdout)
    assert found, judged.stdout + judged.stderr
    assert float(found[1]) < 2.0


def test_no_device_is_open_but_those_of_the_gpu_where_a_drop_in_says_so() -> None:
    unit = (UNITS / "cxr-node.service").read_text("utf-8").splitlines()
    drop_in = (UNITS / "cxr-node.service.d" / "gpu.conf").read_text("utf-8").splitlines()
    assert {"PrivateDevices=yes", "DevicePolicy=closed"} <= {*unit}
    assert {"PrivateDevices=no", "DevicePolicy=closed"} <= {*drop_in}
    opened = [line for line in [*unit, *drop_in] if line.startswith("DeviceAllow=")]
    assert opened
    assert all(re.fullmatch(r"DeviceAllow=(/dev/|char-)nvidia[a-z-]* rw", line) for line in opened)


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is not installed")
def test_user_and_folders_are_made_from_nothing(tmp_path: Path) -> None:
    for kind in ("sysusers", "tmpfiles"):
        folder = tmp_path / f"usr/lib/{kind}.d"
        folder.mkdir(parents=True)
        shutil.copy(UNITS / f"cxr-node.{kind}", folder / "cxr-node.conf")
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}"], check=True, capture_output=True)
    made = (tmp_path / "etc/passwd").read_text()
    assert re.search(r"^cxr-node:x:\d+:\d+:[^:]*:/var/lib/cxr-node:/usr/sbin/nologin$", made, re.MULTILINE)
    if os.geteuid() != 0:
        pytest.skip("folders of another user can be made by root alone")
    subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create"], check=True, capture_output=True)
    assert {name: oct((tmp_path / name).stat().st_mode)[-3:] for name in ("etc/cxr-node", "var/lib/cxr-node")} == {
        "etc/cxr-node": "750",
        "var/lib/cxr-node": "700",
    }


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Callable[[str], list[str]]]:
    """A notification socket; called with a word, it waits until a message has that word and gives all so far."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        heard: list[str] = []

        def until(word: str) -> list[str]:
            heard.clear()
            while not heard or word not in heard[-1]:
                heard.append(listening.recv(4096).decode())
            return heard

        yield until


def test_notify_watchdog_reload_and_stop(tmp_path: Path, systemd: Callable[[str], list[str]]) -> None:
    node = Node(tmp_path, environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    with node:
        assert "STATUS=full mode, listening on port" in systemd("READY=1")[-1]
        assert [message for message in systemd("WATCHDOG=1") if "STOPPING" in message] == []
        node.analysing()

        text = node.file.read_text("utf-8")
        more = toml({"model": {"thresholds": {"pneumonia": 0.001}}}, {"destination": [
            {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 9, "storage_commitment": "off"}
        ]})  # fmt: skip
        node.file.write_text(text.replace("timeout_seconds = 20", "timeout_seconds = 21") + "\n" + more, "utf-8")
        node.signal(signal.SIGHUP)
        (reloading,) = [message for message in systemd("READY=1") if "RELOADING=1" in message]
        assert re.search(r"^MONOTONIC_USEC=\d+$", reloading, re.MULTILINE)
        (told,) = node.logged("config.reloaded")
        assert told["changed"] == ["model.thresholds", "destination"]
        (waiting,) = node.logged("config.needs_restart")
        assert waiting["keys"] == ["receive.timeout_seconds"]
        assert node.events("config.reloaded") == [{"changed": ["model.thresholds", "destination"]}]

        film = chest()
        node.send(film)
        uid = str(film.StudyInstanceUID)
        wait_for(lambda: node.study(uid)["deliveries"], what="a delivery to the destination that came with SIGHUP")
        assert {each["destination"] for each in node.study(uid)["deliveries"]} == {"pacs"}
        assert node.worklist()[0]["threshold"] == 0.001

        node.file.write_text("nonsense", "utf-8")
        node.signal(signal.SIGHUP)
        assert "NOT reloaded" in systemd("READY=1")[-1]
        (refused,) = node.logged("config.not_reloaded")
        assert (refused["code"], "is not valid TOML" in refused["reason"]) == ("CONFIG", True)
        node.file.write_text(text, "utf-8")

        began = time.monotonic()
        node.signal(signal.SIGTERM)
        assert systemd("STOPPING=1")[-1].startswith("STOPPING=1")
        assert node.wait() == 0
        assert time.monotonic() - began < 60
        assert node.rows("SELECT count(*) AS n FROM job WHERE state = 'running'") == [{"n": 0}]
