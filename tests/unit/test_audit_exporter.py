"""The exporter: in order, without loss, never ahead of what was written."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from cxr_node.audit import file
from cxr_node.audit.elements import Reporter
from cxr_node.audit.exporter import Exporter
from cxr_node.audit.messages import Message
from cxr_node.errors import Transient
from cxr_node.store import events, trail
from cxr_node.store.db import Store
from tests.bench import NOON, Clock, opened
from tests.node import wait_for

NODE = Reporter("CXR_NODE", "node")


class Target:
    """Takes messages, unless it is away."""

    def __init__(self) -> None:
        self.away, self.times = False, list[float]()

    def __call__(self, told: Sequence[Message]) -> None:
        if self.away:
            raise Transient("AUDIT_UNREACHABLE", "away")
        self.times += [message.time for message in told]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return opened(tmp_path / "node.sqlite")


def happen(store: Store, *times: float, event: str = "audit.read") -> None:
    with store.transaction() as tx:
        for time in times:
            events.append(tx, time, event, None, by="jane")


def exporter(store: Store, target: Target, clock: Clock | None = None) -> Exporter:
    return Exporter(store, "syslog", target, NODE, clock or Clock(NOON + 1000), poll=0.01)


def exported(store: Store) -> int | None:
    with store.reading() as tx:
        return trail.cursor(tx, "syslog")


def test_everything_is_told_once_and_in_order(store: Store) -> None:
    happen(store, *range(1200))
    target = Target()
    carrying = exporter(store, target)
    while carrying.turn():
        pass
    assert target.times == list(range(1200))
    assert exported(store) == 1200
    happen(store, 1200)
    assert carrying.turn()
    assert target.times[-1] == 1200


def test_a_target_that_is_away_gets_everything_when_it_is_back(store: Store) -> None:
    happen(store, 1, 2)
    target = Target()
    target.away = True
    carrying = exporter(store, target)
    with pytest.raises(Transient):
        carrying.turn()
    assert exported(store) is None
    happen(store, 3)
    target.away = False
    while carrying.turn():
        pass
    assert target.times == [1, 2, 3]


def test_what_nobody_is_told_moves_the_cursor_too(store: Store) -> None:
    happen(store, 1, 2, event="worklist.moved")
    target = Target()
    assert exporter(store, target).turn()
    assert (target.times, exported(store)) == ([], 2)


def test_young_events_wait_for_their_likes(store: Store) -> None:
    clock, target = Clock(NOON), Target()
    happen(store, NOON - 60, NOON - 1, NOON - 60)
    carrying = exporter(store, target, clock)
    assert carrying.turn()
    assert not carrying.turn()
    assert target.times == [NOON - 60]
    clock.turn(10)
    carrying.turn()
    assert target.times == [NOON - 60, NOON - 1, NOON - 60]


def test_an_event_of_the_future_holds_nothing_up(store: Store) -> None:
    happen(store, NOON + 9999, NOON - 60)
    target = Target()
    assert exporter(store, target, Clock(NOON)).turn()
    assert len(target.times) == 2


def test_its_thread_goes_on_when_the_target_is_back(store: Store) -> None:
    target = Target()
    target.away = True
    happen(store, 1)
    carrying = exporter(store, target)
    carrying.start()
    try:
        happen(store, 2)
        target.away = False
        wait_for(lambda: exported(store) == 2, what="what happened meanwhile")
        assert carrying.alive()
    finally:
        carrying.stop()
    wait_for(lambda: not carrying.alive(), what="the end of the thread")


def test_a_file_has_one_message_a_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.xml"
    for name in ("a", "b"):
        file.append(path, [Message(NOON, f"<{name}/>", warning=False)] * 2)
    assert path.read_text() == "<a/>\n<a/>\n<b/>\n<b/>\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(Transient) as refused:
        file.append(tmp_path / "missing" / "audit.xml", [Message(NOON, "<a/>", warning=False)])
    assert refused.value.code == "AUDIT_FILE"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_no_success() -> None:
    with pytest.raises(Transient):
        file.append(Path("/dev/full"), [Message(NOON, "<a/>", warning=False)])
