"""kill -9 at every commit point, by name: just before and just after each call by which something becomes durable.

The process that makes the call dies of it: the listener, the worker or the inference child. Afterwards every film has
one SR and one SC in the archive.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fault.resend import resend
from tests.fault.shim import KILL_AFTER, KILL_BEFORE, Shim
from tests.films import chest
from tests.node import Node, wait_for
from tests.orthanc import Orthanc

pytestmark = [pytest.mark.fault, pytest.mark.peers]


@dataclass(frozen=True)
class Point:
    """The `nth` call of a kind, on files or connections whose path matches, since the film was sent."""

    name: str
    call: str
    pattern: str
    nth: int = 1


ONCE = (
    Point("a part is made", "create", "incoming/tmp*"),
    Point("a part is written", "write", "incoming/tmp*"),
    Point("a part is synced", "sync", "incoming/tmp*"),
    Point("a film gets its name", "rename", "films/*"),
    Point("a film's folder is synced", "sync", "films/*"),
    Point("success is answered", "send", "tcp:{node}>*", 2),
    Point("a picture is synced", "sync", "incoming/*.png*"),
    Point("a picture gets its name", "rename", "pictures/*"),
    Point("a picture's folder is synced", "sync", "pictures/*"),
    Point("the SR is synced", "sync", "incoming/2.25.*"),
    Point("the SR gets its name", "rename", "outbox/*"),
    Point("the outbox is synced", "sync", "outbox"),
    Point("the heat map is synced", "sync", "incoming/2.25.*", 2),
    Point("the heat map gets its name", "rename", "outbox/*", 2),
    Point("an association with the PACS is asked for", "send", "tcp:*>{pacs}"),
    Point("the command is sent to the PACS", "send", "tcp:*>{pacs}", 2),
    Point("the data set is sent to the PACS", "send", "tcp:*>{pacs}", 3),
    Point("the association with the PACS is released", "send", "tcp:*>{pacs}", 4),
    Point("the database's log is made part of it", "write", "cxr-node.sqlite"),
    Point("the database is synced", "sync", "cxr-node.sqlite"),
)
"""Those that a film passes once, on its way from the modality to the PACS."""

SAMPLE = (
    (ONCE[3], KILL_BEFORE),
    (ONCE[4], KILL_AFTER),
    (Point("a commit", "sync", "*-wal", 1), KILL_BEFORE),
    (Point("a commit", "sync", "*-wal", 4), KILL_AFTER),
    (ONCE[10], KILL_AFTER),
    (ONCE[16], KILL_AFTER),
)
"""For every day; the long run takes all."""

COMMITS, LOG_WRITES = 14, 160
"""More than a film brings about: what it does not reach, a later film does."""


def every_point() -> list[tuple[Point, int]]:
    commits = [Point("a commit", "sync", "*-wal", nth) for nth in range(1, COMMITS + 1)]
    writes = [Point("a write into the database's log", "write", "*-wal", nth) for nth in range(1, LOG_WRITES, 20)]
    return [(point, action) for point in (*ONCE, *commits, *writes) for action in (KILL_BEFORE, KILL_AFTER)]


def test_kill_at_every_commit_point(
    tmp_path: Path, orthanc: Orthanc, *, long: bool, record_property: Callable[[str, object], None]
) -> None:
    shim, studies = Shim(tmp_path), []
    points = every_point() if long else SAMPLE
    with Node(tmp_path, environment=shim.environment, destinations=[orthanc.destination()]) as node:

        def reached(rule: int, point: Point) -> bool:
            """Films are sent until one of them has brought the node to this point."""
            film = chest()
            resend(node, film)
            studies.append(film.StudyInstanceUID)
            wait_for(lambda: shim.count(rule) >= point.nth or not (node.running and busy(node)), what=point.name)
            return shim.count(rule) >= point.nth

        for point, action in points:
            wait_for(lambda: node.running or node.start(), what="a running node")
            pattern = point.pattern.format(node=node.port, pacs=orthanc.port)
            rule = shim.rule(point.call, pattern, action=action, nth=point.nth)
            wait_for(lambda: reached(rule, point), what=point.name)  # noqa: B023 - it is called in this round
            shim.clear()
            # A child died of a job, which would be set aside if one died of it again; or the node is about to be gone.
            wait_for(lambda: not (node.running and busy(node)), what="a node that is idle or gone")
        wait_for(lambda: node.running or node.start(), what="a running node")

        found = node.wait_final(*studies)

        assert [len(study["instances"]) for study in found] == [1] * len(studies)
        assert {entry["state"] for entry in node.worklist()} == {"analysed"}
        assert [orthanc.modalities(study) for study in studies] == [["OT", "SR"]] * len(studies)
        assert len(node.logged("node.ready")) + len(node.logged("child.died")) >= 1 + len(points)
    record_property("times", len(points))


def busy(node: Node) -> bool:
    return bool(node.rows("SELECT 1 FROM job WHERE state IN ('ready', 'running')"))
