"""Answers to C-FIND leave as fast as they are taken, and no faster."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID
from pynetdicom import evt

from cxr_node.dimse.listener import Endpoint, Listener
from cxr_node.dimse.workitems import PULL, QUERY, UnifiedProcedureStep
from cxr_node.domain.dicom_json import Attributes, element
from cxr_node.domain.workitem import Workitems
from tests.bench import Bench
from tests.node import wait_for
from tests.steps import Workstation, keyed

_MANY = 20_000
_LONG = "x" * 4000


class Shelf(Workitems):
    """Workitems without end, each of four kilobytes; `taken` counts those that were asked for."""

    def __init__(self, size: int = _MANY) -> None:
        self.size, self.taken = size, 0

    def find(self, *_: object) -> Iterator[Attributes]:
        for _ in range(self.size):
            self.taken += 1
            yield {"00080018": element("UI", "1.2.3"), "00400400": element("LT", _LONG)}


def listening(folder: Path, shelf: Shelf) -> Listener:
    bench = Bench(folder)
    endpoint = Endpoint("CXR_NODE", "127.0.0.1", 0, max_associations=8, max_pdu=131072, timeout=60.0)
    listener = Listener(
        endpoint, bench.intake, bench.spool.incoming, [UnifiedProcedureStep(shelf)], refused=bench.turned_away.note
    )
    listener.start()
    return listener


def test_a_workstation_that_does_not_read_does_not_fill_the_memory(tmp_path: Path) -> None:
    shelf, reads = Shelf(), threading.Event()
    listener = listening(tmp_path, shelf)
    with Workstation(listener.port) as station:

        def wait(_: evt.Event) -> None:
            reads.wait(60)

        station.association.bind(evt.EVT_PDU_RECV, wait)
        found: Any = station.association.send_c_find(keyed(), UID(PULL), msg_id=7)
        asking = threading.Thread(target=lambda: next(found))
        asking.start()
        wait_for(lambda: shelf.taken > 0, what="the first answer")
        before = -1
        while before != shelf.taken:  # what fits in the buffers of the connection
            before = shelf.taken
            time.sleep(0.5)
        assert shelf.taken < _MANY
        reads.set()
        asking.join()
        station.association.abort()
    listener.stop(1.0)


def test_who_cancels_is_heard_soon(tmp_path: Path) -> None:
    shelf = Shelf()
    listener = listening(tmp_path, shelf)
    statuses = []
    with Workstation(listener.port) as station:
        for response, _ in station.association.send_c_find(keyed(), UID(PULL), msg_id=7):
            statuses.append(int(response.Status))
            if len(statuses) == 5:
                (context,) = [one for one in station.association.accepted_contexts if one.abstract_syntax == PULL]
                station.association.send_c_cancel(7, context.context_id)
    listener.stop(1.0)
    assert statuses[-1] == 0xFE00
    assert shelf.taken < _MANY


def test_what_comes_is_acknowledged_at_once(tmp_path: Path) -> None:
    """pynetdicom's client, as others, holds back a data set until its command is; Linux would wait for 40 ms."""
    listener = listening(tmp_path, Shelf(size=1))
    took = []
    with Workstation(listener.port) as station:
        for _ in range(60):  # a new connection is acknowledged quickly for a while by itself
            began = time.perf_counter()
            station.find(keyed())
            took.append(time.perf_counter() - began)
    listener.stop(1.0)
    assert min(took[30:]) < 0.035


@pytest.mark.parametrize("size", [0, 1, 40])
def test_every_answer_arrives(tmp_path: Path, size: int) -> None:
    listener = listening(tmp_path, Shelf(size=size))
    with Workstation(listener.port) as station:
        found, status = station.find(keyed())
    listener.stop(1.0)
    assert (len(found), status) == (size, 0x0000)


@pytest.mark.parametrize("longest", [0, 1024, 16384])
def test_answers_are_whole_whatever_a_pdu_may_hold(tmp_path: Path, longest: int) -> None:
    """Those that fit into a PDU of the workstation and those that do not, in one association after each other."""
    listener = listening(tmp_path, Shelf(size=3))
    with Workstation(listener.port, longest=longest) as station:
        for of in (PULL, QUERY, PULL):
            found, status = station.find(keyed(CommentsOnTheScheduledProcedureStep=""), of)
            assert [one.CommentsOnTheScheduledProcedureStep for one in found] == [_LONG] * 3
            assert status == 0x0000
    listener.stop(1.0)
