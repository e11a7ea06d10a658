"""The thread of an association rests while another one asks: not before it does, and not for ever."""

import threading
import time
from operator import attrgetter
from typing import Any

import pytest
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association

from cxr_node.dimse.checkpoint import Checkpoint

VERIFICATION = UID("1.2.840.10008.1.1")


def waits(thread: threading.Thread) -> bool:
    thread.join(0.2)
    return thread.is_alive()


@pytest.fixture
def asked() -> Any:
    """An association whose thread the test plays."""
    made = Association(AE(), "requestor")
    made.run = lambda: None  # type: ignore[method-assign]
    return made


def test_who_asks_waits_until_the_thread_rests(asked: Any) -> None:
    passed, going = threading.Event(), threading.Event()
    checkpoint = Checkpoint(asked)

    def reactor() -> None:
        asked._is_paused = True
        checkpoint.wait()  # the way is open: it may still take what comes
        passed.set()
        going.wait(10)
        asked._is_paused = True
        checkpoint.wait()

    asked.run = reactor
    asked.start()
    assert passed.wait(10)
    asking = threading.Thread(target=checkpoint.clear)
    asking.start()
    assert waits(asking)
    going.set()
    asking.join(10)
    assert not asking.is_alive()
    assert waits(asked)
    assert asked.dimse.msg_queue.empty()
    checkpoint.set()
    asked.join(10)
    assert not asked.is_alive()


def test_nobody_waits_for_a_thread_that_serves_a_request(asked: Any) -> None:
    going = threading.Event()
    checkpoint = Checkpoint(asked)
    asked.run, asked._is_paused = lambda: going.wait(10), True
    asked.start()
    checkpoint.clear()
    assert asked.is_alive()
    assert asked.dimse.msg_queue.empty()
    going.set()
    asked.join(10)


def test_over_an_association_that_ends_meanwhile_nobody_waits_for_an_answer(asked: Any) -> None:
    going = threading.Event()
    checkpoint = Checkpoint(asked)

    def reactor() -> None:
        going.wait(10)
        asked._reactor_checkpoint = checkpoint
        asked.kill()

    asked.run = reactor
    asked.start()
    asking = threading.Thread(target=checkpoint.clear)
    asking.start()
    assert waits(asking)
    going.set()
    asking.join(10)
    assert asked.dimse.msg_queue.get(block=False) == (None, None)


def test_over_an_association_that_has_ended_nobody_waits_for_an_answer(asked: Any) -> None:
    checkpoint = Checkpoint(asked)
    asked.start()
    asked.join(10)
    checkpoint.clear()
    assert asked.dimse.msg_queue.get(block=False) == (None, None)


def test_the_thread_itself_does_not_wait(asked: Any) -> None:
    checkpoint = Checkpoint(asked)
    asked.run = checkpoint.clear
    asked.start()
    asked.join(10)
    assert not asked.is_alive()
    assert asked._is_paused
    assert asked.dimse.msg_queue.empty()


@pytest.mark.parametrize("queue", ["dimse.msg_queue", "dul.to_user_queue"])
def test_the_thread_rests_until_something_comes(asked: Any, queue: str) -> None:
    checkpoint = Checkpoint(asked, seconds=60)
    asked.run = checkpoint.wait
    asked.start()
    assert waits(asked)
    attrgetter(queue)(asked).put((None, None))
    asked.join(10)
    assert not asked.is_alive()
    assert not asked._is_paused


def test_it_looks_around_now_and_then(asked: Any) -> None:
    checkpoint = Checkpoint(asked, seconds=0.01)
    asked.run = checkpoint.wait
    asked.start()
    asked.join(10)
    assert not asked.is_alive()


def test_what_comes_while_another_one_asks_is_not_for_the_thread(asked: Any) -> None:
    checkpoint = Checkpoint(asked, seconds=60)

    def reactor() -> None:
        asked._is_paused = True
        checkpoint.wait()

    asked.run = reactor
    asked.start()
    checkpoint.clear()
    asked.dimse.msg_queue.put((1, "answer"))
    assert waits(asked)
    assert asked.dimse.msg_queue.get(block=False) == (1, "answer")
    checkpoint.set()
    asked.dimse.msg_queue.put((None, None))
    asked.join(10)
    assert not asked.is_alive()


def test_pynetdicom_rests_at_it_before_anything_is_asked() -> None:
    """Fails when pynetdicom pauses its thread in another way."""
    peer = AE()
    peer.add_supported_context(VERIFICATION)
    server = peer.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _: 0x0000)])
    ae = AE()
    ae.add_requested_context(VERIFICATION)
    association = ae.associate("127.0.0.1", server.server_address[1])
    checkpoint: Any = Checkpoint(association)
    rested: list[bool] = []
    clear = checkpoint.clear
    checkpoint.clear = lambda: (clear(), rested.append(association._is_paused))
    association._reactor_checkpoint = checkpoint
    end = time.monotonic() + 10
    while len(rested) < 50 and time.monotonic() < end:
        assert association.send_c_echo().Status == 0x0000
    association.release()
    assert rested == [True] * 51
    threading.Thread(target=server.shutdown).start()
