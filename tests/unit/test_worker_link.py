"""The line between the daemon and a child: words, and what its end means."""

import os
import threading
from collections.abc import Iterator

import pytest

from cxr_node import link
from cxr_node.link import Link, attend
from cxr_node.locale import said
from cxr_node.message import Message


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    """The parent's and the child's end."""
    parent, theirs = Link.pair()
    child = Link(theirs)
    yield parent, child
    parent.close()
    child.close()


class Child:
    """What a child attends to, and what it heard."""

    def __init__(self, end: Link, healthy: bool) -> None:
        self.heard: list[str] = []
        self.ended = threading.Event()
        attend(
            end,
            on_wake=lambda: self.heard.append("wake"),
            on_go=lambda: self.heard.append("go"),
            healthy=lambda: healthy,
            on_end=self.ended.set,
        )


def test_a_word_and_the_rest_of_its_line(ends: tuple[Link, Link]) -> None:
    parent, child = ends
    child.say("failed", "MODEL_DIGEST", "the weights are\nnot as released: ñ")
    child.say("wake")
    child.close()
    assert list(parent.lines()) == [("failed", "MODEL_DIGEST the weights are not as released: ñ"), ("wake", "")]


@pytest.mark.parametrize("reason", ["no disk: ñ", Message("its process died ({how})", how="SIGKILL")])
def test_why_there_is_nothing_to_be_done_comes_as_it_was(ends: tuple[Link, Link], reason: str) -> None:
    parent, child = ends
    child.fail("MODEL_DIGEST", reason)
    (word, rest) = next(iter(parent.lines()))
    assert word == "failed"
    code, told = link.failure(rest)
    assert (code, told, said(told, "es")) == ("MODEL_DIGEST", reason, said(reason, "es"))


def test_a_long_configuration_passes_whole(ends: tuple[Link, Link]) -> None:
    parent, child = ends
    writing = threading.Thread(target=parent.say, args=("config", "x" * 1_000_000))
    writing.start()
    word, rest = next(iter(child.lines()))
    writing.join(60)
    assert (word, len(rest)) == ("config", 1_000_000)


def test_a_healthy_child_answers_a_ping(ends: tuple[Link, Link]) -> None:
    parent, child = ends
    Child(child, healthy=True)
    parent.say("ping")
    assert next(iter(parent.lines())) == ("pong", "")


def test_a_child_that_hangs_does_not_until_it_goes_on(ends: tuple[Link, Link]) -> None:
    parent, child = ends
    woken: list[int] = []
    twice = threading.Event()

    def wake() -> None:
        woken.append(1)
        if len(woken) == 2:
            twice.set()

    attend(child, on_wake=wake, on_go=wake, healthy=lambda: bool(woken), on_end=lambda: None)
    for word in ("ping", "wake", "ping", "wake"):
        parent.say(word)
    assert twice.wait(60)
    child.close()
    assert list(parent.lines()) == [("pong", "")], "to the second ping alone"


def test_the_end_of_the_parent_is_noticed(ends: tuple[Link, Link]) -> None:
    parent, end = ends
    child = Child(end, healthy=True)
    assert not child.ended.is_set()
    parent.close()
    assert child.ended.wait(60)


def test_writing_to_an_end_that_is_gone_is_no_error(ends: tuple[Link, Link]) -> None:
    parent, child = ends
    child.close()
    parent.say("wake")
    parent.say("wake")
    assert list(parent.lines()) == []


def test_a_hint_waits_for_nobody_and_does_no_harm(ends: tuple[Link, Link]) -> None:
    parent, child = ends
    for _ in range(10_000):
        parent.hint("wake")
    parent.close()
    heard = list(child.lines())
    assert 100 < len(heard) < 10_000
    assert set(heard) == {("wake", "")}, "each came whole"


def test_an_unknown_word_is_passed_over(ends: tuple[Link, Link]) -> None:
    parent, end = ends
    Child(end, healthy=True)
    parent.say("dance")
    parent.say("ping")
    assert next(iter(parent.lines())) == ("pong", "")


def test_a_child_inherits_its_end_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, theirs = Link.pair()
    monkeypatch.setenv(link.VARIABLE, str(theirs.detach()))
    child = Link.inherited()
    assert child is not None
    assert link.VARIABLE not in os.environ
    child.say("ready", "cpu")
    child.close()
    assert list(parent.lines()) == [("ready", "cpu")]
    assert Link.inherited() is None
    parent.close()
