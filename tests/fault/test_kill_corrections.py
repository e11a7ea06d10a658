"""kill -9 at the commit points of corrections: what was acknowledged holds, once, in the PACS and in the RIS.

The process that makes the call dies of it: the listener, the worker, or the one that takes messages.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from tests.acceptance.test_corrections import delivered, notes, require_valid, state
from tests.fault.resend import resend
from tests.fault.shim import KILL_AFTER, KILL_BEFORE, Shim
from tests.fault.test_kill_points import Point, busy
from tests.films import chest
from tests.node import Node, free_port, wait_for
from tests.orthanc import Orthanc
from tests.rejection import rejection
from tests.ris import Ris, order, say

pytestmark = [pytest.mark.fault, pytest.mark.peers]

Act = Callable[[Node, FileDataset], None]


@dataclass(frozen=True)
class Case:
    """What is said of a study, where that kills, and what follows: the title of our note, and OBX-11 at the RIS."""

    act: Act
    point: Point
    action: int
    title: str
    status: str


def reject(node: Node, film: FileDataset) -> None:
    """As an archive that does not give up."""
    resend(node, rejection("113001", film))


def cancel(node: Node, film: FileDataset) -> None:
    """As a RIS that does not give up."""
    port = node.config.hl7.port
    assert port is not None
    message = order(f"c{film.AccessionNumber}", str(film.AccessionNumber), control="CA")

    def taken() -> bool:
        try:
            (answer,) = say(port, message)
        except (OSError, AssertionError):
            return False
        return str(answer.segment("MSA")[1]) == "AA"

    wait_for(lambda: (node.running or node.start()) and taken(), what="an order that is cancelled")


def withdraw(node: Node, film: FileDataset) -> None:
    assert node.command("withdraw", str(film.StudyInstanceUID), "--reason", "wrong patient").returncode == 0


COMMIT = Point("it is committed", "sync", "*-wal")
CASES = (
    Case(reject, COMMIT, KILL_BEFORE, "113001", "X"),
    Case(reject, COMMIT, KILL_AFTER, "113001", "X"),
    Case(cancel, COMMIT, KILL_AFTER, "113001", "X"),
    Case(cancel, Point("it is answered", "send", "tcp:{hl7}>*"), KILL_BEFORE, "113001", "X"),
    Case(withdraw, Point("our note gets its name", "rename", "outbox/*"), KILL_BEFORE, "113037", "W"),
    Case(withdraw, Point("our note is sent", "send", "tcp:*>{pacs}", 3), KILL_AFTER, "113037", "W"),
    Case(cancel, Point("the RIS is told", "send", "tcp:*>{ris}"), KILL_AFTER, "113001", "X"),
)


def test_kill_at_the_commit_points_of_corrections(
    tmp_path: Path, orthanc: Orthanc, *, record_property: Callable[[str, object], None]
) -> None:
    shim, films = Shim(tmp_path), [chest(AccessionNumber=f"A{number}") for number in range(len(CASES))]
    settings = {
        "environment": shim.environment,
        "destinations": [orthanc.destination(rejection_notes=True)],
        "hl7__port": free_port(),
    }
    with Ris() as ris, Node(tmp_path, told=[ris.table()], **settings) as node:
        node.send(*films)
        node.wait_final()
        for case, film in zip(CASES, films, strict=True):
            wait_for(lambda: node.running or node.start(), what="a running node")
            pattern = case.point.pattern.format(pacs=orthanc.port, ris=ris.port, hl7=settings["hl7__port"])
            rule = shim.rule(case.point.call, pattern, action=case.action, nth=case.point.nth)
            case.act(node, film)
            wait_for(lambda: shim.count(rule) >= case.point.nth, what=case.point.name)  # noqa: B023 - in this round
            shim.clear()
            wait_for(lambda: not (node.running and busy(node)), what="a node that is idle or gone")
        wait_for(lambda: node.running or node.start(), what="a running node")
        node.wait_idle()

        for case, film in zip(CASES, films, strict=True):
            assert state(node, film)[0] == "withdrawn", case
            assert notes(orthanc, film) == [(case.title, delivered(node, film, "sr", "sc"))], case
            told = {str(one.segment("MSH")[10]): one for one in ris.messages if film.StudyInstanceUID in str(one)}
            assert [str(one.segment("OBX")[11]) for one in told.values()] == ["P", case.status], case
        assert len(node.logged("node.ready")) + len(node.logged("child.died")) >= 1 + len(CASES)
        require_valid(node)
    record_property("times", len(CASES))
