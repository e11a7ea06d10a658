"""Who looks after the children: one that hangs is started again, and none can hold up the daemon."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cxr_node import keys
from cxr_node.config import Config
from cxr_node.link import VARIABLE, Link
from cxr_node.plan import Plan
from cxr_node.store import events
from cxr_node.supervisor import Child
from tests.bench import Clock, opened
from tests.node import wait_for

PREAMBLE = """
import sys, time
from cxr_node.link import Link
link = Link.inherited()
say = lambda word: link.hint(word)
"""
DEAF = "say('ready cpu'); time.sleep(600)"
BUSY = """
while True:
    say("wake")
    time.sleep(0.02)
"""
ANSWERING = """
say("ready cpu")
for word, _ in link.lines():
    if word == "ping":
        say("pong")
        say("wake")
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Start a child that runs a script."""
    store, children = opened(tmp_path / "node.sqlite"), []

    def begin(
        script: str,
        silent_seconds: float = 60.0,
        wake: Callable[[], None] = lambda: None,
        *,
        candidate: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Child:
        child = Child(
            "infer",
            configuration="{}",
            store=store,
            set_aside=lambda *_: None,
            wake=wake,
            clock=time.time,
            candidate=candidate,
            command=(sys.executable, "-c", PREAMBLE + script),
            silent_seconds=silent_seconds,
            monotonic=monotonic,
        )
        child.start()
        children.append(child)
        return child

    yield begin
    for child in children:
        child.stop(0.1)
    store.close()


def test_a_child_that_does_not_listen_holds_nobody_up(tmp_path: Path, start: Callable[..., Child]) -> None:
    child, said = start(DEAF), threading.Event()
    wait_for(lambda: recorded(tmp_path, "infer."), what="its first word")

    def say() -> None:
        for _ in range(5000):
            child.wake()
            child.ping()
        said.set()

    threading.Thread(target=say, daemon=True).start()
    assert said.wait(60)


@pytest.mark.parametrize("script", [DEAF, BUSY])
def test_a_child_that_answers_no_ping_is_killed_whatever_else_it_says(start: Callable[..., Child], script: str) -> None:
    woken = threading.Event()
    child = start(script, silent_seconds=0.5, wake=woken.set)
    with capture_logs() as logs:

        def hanging() -> bool:
            child.ping()
            return any(entry["event"] == "child.died" and entry["how"] == "SIGKILL" for entry in logs)

        wait_for(hanging, what="the end of the child")
    said = dict.fromkeys(entry["event"] for entry in logs)  # it may be found hanging again before its end is seen
    assert list(said)[:2] == ["child.hanging", "child.died"]
    wait_for(woken.is_set, what="word of it")


LOADING = """
import time
from cxr_node import roles
roles.ROLES = {"infer": lambda plan, store: time.sleep(60)}
roles.run("infer", None)
"""


def test_a_child_answers_while_its_model_is_loaded(tmp_path: Path) -> None:
    opened(tmp_path / "cxr-node.sqlite").close()
    keys.pseudonyms(tmp_path, create=True)
    link, theirs = Link.pair()
    environment = os.environ | {VARIABLE: str(theirs.fileno())}
    with theirs:
        child = subprocess.Popen([sys.executable, "-c", LOADING], env=environment, pass_fds=(theirs.fileno(),))
    config = Config.model_validate({"node": {"data_dir": tmp_path}})
    link.say("config", Plan.of(config).manifest.digest, config.model_dump_json())
    heard: list[tuple[str, str]] = []
    listening = threading.Thread(target=lambda: heard.append(next(iter(link.lines()))), daemon=True)
    listening.start()

    def answered() -> bool:
        link.hint("ping")
        return bool(heard)

    wait_for(answered, what="an answer")
    child.kill()
    child.wait()
    link.close()
    assert heard == [("pong", "")]


def test_a_child_that_answers_lives(tmp_path: Path, start: Callable[..., Child]) -> None:
    clock, heard = Clock(), threading.Semaphore(0)
    child = start(ANSWERING, silent_seconds=60, wake=heard.release, monotonic=clock)
    wait_for(lambda: recorded(tmp_path, "infer."), what="its first word")
    with capture_logs() as logs:
        for _ in range(4):
            clock.turn(50)
            child.ping()
            assert heard.acquire(timeout=60)
    assert logs == []


CANDIDATE = """
for word, rest in link.lines():
    if word == "candidate":
        say("standing cpu")
    elif word in ("go", "config"):
        say(f"ready {word}-{rest}")
"""
UNABLE = """
say('failed MODEL_GOLDEN "it computes otherwise here"')
sys.exit(1)
"""


def recorded(tmp_path: Path, prefix: str) -> dict[str, Any] | None:
    store = opened(tmp_path / "node.sqlite")
    with store.reading() as tx:
        return events.latest(tx, prefix)


def test_a_candidate_stands_by_until_it_is_promoted(tmp_path: Path, start: Callable[..., Child]) -> None:
    child = start(CANDIDATE, candidate=True)
    assert child.standing(60) == ""
    assert recorded(tmp_path, "infer.") is None
    child.promote()
    found = wait_for(lambda: recorded(tmp_path, "infer."), what="its word")
    assert (found["event"], found["device"]) == ("infer.ready", "go-")


@pytest.mark.parametrize(
    ("script", "why", "event"),
    [
        (UNABLE, "it computes otherwise here", "candidate.unavailable"),
        ("sys.exit(3)", "its process died (exit status 3)", "candidate.died"),
    ],
)
def test_a_candidate_that_cannot_work_says_why(
    tmp_path: Path, start: Callable[..., Child], script: str, why: str, event: str
) -> None:
    child = start(script, candidate=True)
    assert child.standing(60) == why
    wait_for(lambda: (recorded(tmp_path, "candidate.") or {}).get("event") == event, what="the record of it")
    assert recorded(tmp_path, "infer.") is None


def test_a_candidate_is_not_waited_for_for_ever_nor_beyond_its_end(start: Callable[..., Child]) -> None:
    child = start(DEAF, candidate=True)
    assert child.standing(0.1) == "it was not loaded within 0.1 s"
    child.stop(0)
    assert child.standing(60) == "the node stops"


def test_a_child_begins_anew_with_another_configuration(tmp_path: Path, start: Callable[..., Child]) -> None:
    child = start(CANDIDATE)
    wait_for(lambda: recorded(tmp_path, "infer."), what="its first word")
    child.renew("other")

    def again() -> bool:
        return (recorded(tmp_path, "infer.") or {}).get("device") == "config-other"

    wait_for(again, what="its word after that")
