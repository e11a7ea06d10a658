"""Threads that wait for a peer are woken, and never by a file that is another's by then."""

import socket
import threading
from queue import Queue

import pytest

from cxr_node.dimse.waking import Waker, tell_of

LONG = 60_000


@pytest.fixture
def waiting() -> Waker:
    return Waker()


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def test_a_wait_ends_when_somebody_wakes(waiting: Waker) -> None:
    ours, theirs = pair()
    with ours, theirs:
        thread = threading.Thread(target=waiting.wait, args=(ours, LONG))
        thread.start()
        waiting.wake()
        thread.join(10)
        assert not thread.is_alive()


def test_who_was_woken_before_does_not_wait(waiting: Waker) -> None:
    ours, theirs = pair()
    with ours, theirs:
        waiting.wake()
        waiting.wait(ours, LONG)
        waiting.wait(ours, 0)


def test_a_wait_ends_when_something_comes_or_the_peer_goes(waiting: Waker) -> None:
    ours, theirs = pair()
    with ours:
        theirs.send(b"x")
        waiting.wait(ours, LONG)
        assert ours.recv(1) == b"x"
        theirs.close()
        waiting.wait(ours, LONG)


def test_what_is_closed_is_neither_waited_for_nor_woken(waiting: Waker) -> None:
    ours, theirs = pair()
    with ours, theirs:
        waiting.close()
        waiting.wake()
        waiting.close()
        with pytest.raises(ValueError, match="descriptor"):
            waiting.wait(ours, LONG)
    with pytest.raises(ValueError, match="descriptor"):
        Waker().wait(ours, LONG)


def test_a_queue_tells_of_what_it_had_and_gets() -> None:
    queue: Queue[int] = Queue()
    queue.put(1)
    told: list[int] = []
    tell_of(queue, lambda: told.append(len(queue.queue)))
    queue.put(2)
    assert (queue.get(), queue.get(), told) == (1, 2, [2])
