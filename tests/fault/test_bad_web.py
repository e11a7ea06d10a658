"""What may befall the web page, and what must not come of it: X-ray machines and readers are served on."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from cxr_node.web import accounts
from cxr_node.web.accounts import Account, Role
from tests.fault.shim import Shim
from tests.films import chest
from tests.node import TIMEOUT, Node, free_port, wait_for

pytestmark = pytest.mark.fault


def get(node: Node, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", node.config.web.port, timeout=TIMEOUT)
    with closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def answers(node: Node) -> bool:
    with suppress(OSError):
        return get(node, "/healthz")[0] == 200
    return False


def test_a_web_process_that_is_killed_comes_back_and_nothing_else_notices(tmp_path: Path) -> None:
    token, secret = accounts.new_token()
    accounts.save(tmp_path / "tokens", [Account("program", Role.VIEWER, secret)])
    with Node(tmp_path, web__enabled=True, web__port=free_port(), web__tokens=str(tmp_path / "tokens")) as node:
        wait_for(lambda: answers(node), what="a web page")
        node.kill("web")
        film = chest()
        node.send(film)
        wait_for(lambda: answers(node), what="the web page again")
        found = json.loads(get(node, "/api/worklist", Authorization=f"Bearer {token}")[1])
        assert [entry["study_instance_uid"] for entry in found] == [film.StudyInstanceUID]
        assert node.events("web.died") == [{"how": "SIGKILL"}]


def test_a_port_that_is_taken_keeps_nobody_from_sending(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = Node(tmp_path, web__enabled=True, web__port=port)
        with node:
            wait_for(lambda: node.logged("web.unavailable"), what="a complaint")
            assert {line["code"] for line in node.logged("web.unavailable")} == {"WEB_PORT"}
            node.send(chest())
            node.analysing()
            assert node.status()["ready"]
            taken.close()
            wait_for(lambda: answers(node), what="the web page, once the port is free")


def test_a_node_that_is_killed_leaves_no_web_page_behind(tmp_path: Path) -> None:
    with Node(tmp_path, web__enabled=True, web__port=free_port()) as node:
        wait_for(lambda: answers(node), what="a web page")
        node.kill()
        wait_for(lambda: not node.processes("web"), what="the end of the web process")
        assert not answers(node)
        node.start()
        wait_for(lambda: answers(node), what="a web page")


def test_a_node_that_stops_does_not_wait_for_those_who_watch(tmp_path: Path) -> None:
    with Node(tmp_path, web__enabled=True, web__port=free_port()) as node:
        wait_for(lambda: answers(node), what="a web page")
        with socket.create_connection(("127.0.0.1", node.config.web.port), timeout=TIMEOUT) as watcher:
            watcher.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert watcher.recv(12) == b"HTTP/1.1 200"
            began = time.monotonic()
            assert node.terminate() == 0
            assert time.monotonic() - began < 60


def test_freezing_in_a_burst_leaves_the_order_of_arrival(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"model__thresholds": {"pneumonia": 0.01}, "worklist__tiers": {"high": 0.01}}
    with Node(tmp_path, **settings) as node:
        node.analysing()
        studies = []
        for number in range(6):
            film = chest()
            node.send(film)
            studies.append(str(film.StudyInstanceUID))
            if number == 2:
                node.command("worklist", "--freeze")
        node.wait_idle()
        assert {entry["tier"] for entry in node.worklist()} == {"high"}
        assert order(node.worklist) == studies
        node.command("priority", studies[4], "stat")
        assert order(node.worklist) == [studies[4], *studies[:4], studies[5]]


def test_what_came_before_the_clock_was_set_back_is_read_before_what_came_since(tmp_path: Path) -> None:
    shim, early, late = Shim(tmp_path), chest(), chest()
    settings: dict[str, Any] = {"web__enabled": True, "web__port": free_port()}
    with Node(tmp_path, environment=shim.environment, **settings) as node:
        wait_for(lambda: answers(node), what="a web page")
        shim.turn_clock(24 * 3600)
        wait_for(lambda: node.logged("clock.stepped"), what="a node that knows of its clock")
        node.send(early)
        wait_for(lambda: len(seen(node)) == 1, what="the film on the page")
        shim.turn_clock(0)
        wait_for(lambda: node.events("worklist.retimed"), what="a list that is set right")
        node.send(late)
        wait_for(lambda: len(seen(node)) == 2, what="the other film on the page")
        expected = [str(film.StudyInstanceUID) for film in (early, late)]
        assert order(node.worklist) == seen(node) == expected
        shim.turn_clock(3 * 3600)
        wait_for(lambda: len(node.events("worklist.overdue")) == 2, what="what is overdue on record")
        assert order(node.worklist) == seen(node) == expected
        assert node.command("audit", "verify").returncode == 0


def seen(node: Node) -> list[str]:
    """The studies in the order in which the web process gives them."""
    _, body = get(node, "/api/worklist")
    return [entry["study_instance_uid"] for entry in json.loads(body)]


def order(worklist: Callable[[], list[dict[str, Any]]]) -> list[str]:
    return [entry["study_instance_uid"] for entry in worklist()]
