"""Two nodes for one hospital: whichever dies, and whenever, the PACS has one SR and one SC of each study.

Both stand on this machine, with one data folder and a port each. Where one is said to be gone, every process of it is.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import FileDataset

from cxr_node import lease, views
from tests.fault.resend import acknowledged
from tests.fault.shim import KILL_AFTER, KILL_BEFORE, Shim
from tests.fault.test_kill_points import Point
from tests.films import chest
from tests.node import Node, wait_for
from tests.orthanc import Orthanc

pytestmark = [pytest.mark.fault, pytest.mark.peers]

SECONDS = 3.0
ADOPTED = 0x0111
SENT = Point("the report is sent, and nobody has noted that", "send", "tcp:*>{pacs}", 3)
POINTS = (
    (Point("a film's folder is synced", "sync", "films/*"), KILL_AFTER),
    (Point("the SR is synced", "sync", "incoming/2.25.*"), KILL_BEFORE),
    (Point("the heat map gets its name", "rename", "outbox/*", 2), KILL_BEFORE),
    (SENT, KILL_AFTER),
    (Point("part of the heat map is sent", "send", "tcp:*>{pacs}", 9), KILL_BEFORE),
)


class Pair:
    """Two nodes with one data folder."""

    def __init__(self, folder: Path, destinations: list[dict[str, Any]], **settings: Any) -> None:
        self.data = folder / "node"
        known = {"node__data_dir": str(self.data), "pair__lease_seconds": SECONDS} | settings
        self.north, self.south = (
            Node(folder / name, destinations=destinations, pair__name=name, **known) for name in ("north", "south")
        )

    def working(self) -> Node:
        """The one that takes films."""
        both = (self.north, self.south)
        return wait_for(lambda: next((n for n in both if n.running and views.answers(n.config)), None), what="a node")

    def send(self, film: FileDataset) -> None:
        """As a machine whose films go wherever somebody listens."""
        while not acknowledged(self.working(), film):
            time.sleep(0.1)

    @property
    def lease(self) -> lease.Lease:
        found = lease.read(self.data)
        assert found is not None
        return found


def gone(node: Node) -> None:
    """kill -9 of everything, as when a host loses its power."""
    node.kill()
    node.kill("")


def standing_by(node: Node) -> Node:
    before = len(node.logged("pair.standing_by"))
    node.launch()
    wait_for(lambda: len(node.logged("pair.standing_by")) > before, what="a node that stands by")
    return node


@pytest.fixture
def pair(tmp_path: Path, orthanc: Orthanc) -> Iterator[Callable[..., Pair]]:
    """Both are ended with the test."""
    with ExitStack() as ending:

        def made(**settings: Any) -> Pair:
            found = Pair(tmp_path, [orthanc.destination(keep_open_seconds=0)], **settings)
            ending.callback(found.south.close)
            ending.callback(found.north.close)
            return found

        yield made


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom's refused connections
def test_whichever_is_gone_the_other_goes_on(
    tmp_path: Path,
    orthanc: Orthanc,
    pair: Callable[..., Pair],
    record_property: Callable[[str, object], None],
) -> None:
    shim, studies = Shim(tmp_path), []
    two = pair(environment=shim.environment)
    standby = two.south
    two.north.start()
    for point, action in POINTS:
        standing_by(standby)
        victim, film = two.working(), chest()
        rule = shim.rule(point.call, point.pattern.format(pacs=orthanc.port), action=action, nth=point.nth)
        studies.append(film.StudyInstanceUID)
        two.send(film)
        wait_for(lambda: shim.count(rule) >= point.nth, what=point.name)  # noqa: B023 - it is called in this round
        gone(victim)
        if point is SENT:
            wait_for(lambda: orthanc.modalities(studies[-1]) == ["SR"], what="a report that nobody knows of")
        shim.clear()
        other = two.working()
        assert other is standby, point.name
        other.wait_idle()
        standby = victim
    gone(standing_by(standby))
    film = chest()
    two.send(film)
    studies.append(film.StudyInstanceUID)

    found = two.working().wait_final(*studies)
    assert [orthanc.modalities(study) for study in studies] == [["OT", "SR"]] * len(studies)
    assert [len(study["instances"]) for study in found] == [1] * len(studies)
    told = [(one["kind"], int(one["status"], 16)) for one in two.north.events("document.sent", str(studies[3]))]
    assert ("sr", ADOPTED) in told, "it was there, and was not sent again"
    assert two.lease.term >= 1 + len(POINTS)
    record_property("times", len(POINTS))


def test_one_that_was_stopped_for_longer_than_its_lease_does_not_go_on(
    orthanc: Orthanc, pair: Callable[..., Pair]
) -> None:
    """Its own kernel has ended it by then, and with it what else could send."""
    two, film = pair(study__settle_seconds=1.0), chest()
    two.north.start().analysing()
    standing_by(two.south)
    two.send(film)
    stopped = two.north.processes()
    signalled(stopped, signal.SIGSTOP)
    assert two.working() is two.south or wait_for(lambda: not two.north.running)
    wait_for(lambda: two.working() is two.south, what="the other one")

    signalled(stopped, signal.SIGCONT)

    two.south.wait_final(film.StudyInstanceUID)
    assert two.north.processes() == []
    assert two.north.wait() == -signal.SIGKILL
    assert orthanc.modalities(film.StudyInstanceUID) == ["OT", "SR"]
    assert [one["kind"] for one in two.north.logged("job.done") if one["kind"] == "deliver"] == []


def test_one_that_has_slept_through_its_succession_sends_nothing(orthanc: Orthanc, pair: Callable[..., Pair]) -> None:
    """As a virtual machine that is held and let go: no timer of its kernel went on, and the term is all there is."""
    two, film = pair(study__settle_seconds=2.0, pair__lease_seconds=300), chest()
    two.north.start().analysing()
    two.send(film)
    stopped = two.north.processes()
    signalled(stopped, signal.SIGSTOP)
    (two.data / "lease").write_text(json.dumps({"term": 2, "name": "south", "since": time.time(), "released": True}))
    signalled(stopped, signal.SIGCONT)

    assert two.north.wait() == -signal.SIGKILL
    wait_for(lambda: not two.north.processes(), what="the end of all of it")
    assert two.north.events("node.stopped") == [], "not a word to a database that is another's"
    assert orthanc.instances(film.StudyInstanceUID) == []

    two.south.start().wait_final(film.StudyInstanceUID)
    assert orthanc.modalities(film.StudyInstanceUID) == ["OT", "SR"]
    assert two.lease.term == 3


def test_turns_are_changed_at_once_where_one_is_stopped_in_order(pair: Callable[..., Pair]) -> None:
    two = pair(pair__lease_seconds=300)
    two.north.start()
    standing_by(two.south)

    status = two.south.command("status")
    assert (status.returncode, status.stdout) == (1, "")
    assert "STANDS_BY: south stands by, and north works; give this command there" in status.stderr
    said = two.south.command("check", "--offline").stdout
    assert "note    pair: north works since" in said
    assert "note    database: south stands by" in said
    assert "south stands by; this is north" in two.north.command("status").stdout

    assert two.north.terminate() == 0
    assert two.working() is two.south
    assert (two.lease.name, two.lease.term, two.lease.released) == ("south", 2, False)
    assert standing_by(two.north).terminate() == 0
    assert two.south.terminate() == 0
    assert two.lease.released


def signalled(processes: list[int], number: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
