"""Telling systemd: what it is sent, and silence where there is none."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr_node.observe.sdnotify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def test_every_message_arrives_as_one_datagram(systemd: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.ready("listening on port 104")
    notifier.alive()
    notifier.reloading()
    notifier.stopping()
    ready, alive, reloading, stopping = [systemd.recv(4096).decode() for _ in range(4)]
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert 0 <= time.monotonic() - int(reloading.splitlines()[1].partition("=")[2]) / 1e6 < 60
    assert [ready, alive, stopping] == [
        "READY=1\nSTATUS=listening on port 104",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=finishing what is under way",
    ]


def test_an_abstract_socket_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # Linux chooses a free abstract name
        listening.settimeout(5)
        name = listening.getsockname().decode()
        Notifier({"NOTIFY_SOCKET": "@" + name[1:]}).alive()
        assert listening.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_without_systemd_nothing_happens(environment: dict[str, str]) -> None:
    Notifier(environment).ready("unheard")
