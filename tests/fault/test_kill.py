"""kill -9, of the daemon and of its children: nothing that was acknowledged is lost, nothing is reported twice."""

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random
from threading import Timer

import pytest

from tests.fault.damage import data_set
from tests.fault.resend import resend
from tests.films import chest
from tests.node import Node, wait_for
from tests.orthanc import Orthanc

pytestmark = pytest.mark.fault

ACKNOWLEDGED = 0x0000
VICTIMS = ("serve", "infer", "work", "cxr_node.decoding")


@pytest.mark.peers
def test_kills_at_any_moment(
    tmp_path: Path, orthanc: Orthanc, *, long: bool, record_property: Callable[[str, object], None]
) -> None:
    """The moments that no commit point has a name for."""
    chance, count = Random(11112), 1000 if long else 20
    films = [chest() for _ in range(count)]
    moments = {index: chance.choice(VICTIMS) for index in range(3, count, 5)}
    with Node(tmp_path, destinations=[orthanc.destination()]) as node:
        for index, film in enumerate(films):
            if role := moments.get(index):
                node.analysing()
                Timer(chance.uniform(0.0, 0.15), node.kill, (role,)).start()
            resend(node, film)
        wait_for(lambda: node.running or node.start(), what="a running node")

        studies = node.wait_final(*(film.StudyInstanceUID for film in films), timeout=300)

        assert [len(study["instances"]) for study in studies] == [1] * count
        assert {entry["state"] for entry in node.worklist()} == {"analysed"}
        assert [orthanc.modalities(film.StudyInstanceUID) for film in films] == [["OT", "SR"]] * count
    record_property("times", len(moments))


@pytest.mark.parametrize("role", ["infer", "work"])
def test_the_death_of_a_child_drops_no_association(node: Node, role: str) -> None:
    films = [chest(), chest()]
    context = films[0].SOPClassUID, films[0].file_meta.TransferSyntaxUID
    node.analysing()
    with node.association(context) as association:
        assert association.send_c_store(node.written(films[0])).Status == ACKNOWLEDGED

        node.kill(role)
        wait_for(lambda: node.logged("child.died"), what="a dead child")

        assert association.send_c_store(node.written(films[1])).Status == ACKNOWLEDGED
    studies = node.wait_final(*(film.StudyInstanceUID for film in films))
    assert [len(study["outputs"]) for study in studies] == [2, 2]


def test_children_end_after_their_parent(node: Node) -> None:
    node.analysing()
    assert len(node.processes("infer") + node.processes("work")) == 2

    node.kill()

    wait_for(lambda: not node.processes(), what="the end of the orphans")


def test_a_child_that_hangs_at_work_is_no_orphan_either(node: Node) -> None:
    """A stopped process cannot notice that its parent is gone before it goes on."""
    node.analysing()
    (child,) = node.processes("infer")
    os.kill(child, signal.SIGSTOP)
    node.kill()

    os.kill(child, signal.SIGCONT)

    wait_for(lambda: not node.processes(), what="the end of the orphans")


POISON = """
import os, signal, sys
if "cxr_node.decoding" in sys.orig_argv:
    def deadly(event, arguments):
        if event == "open" and str(arguments[0]).endswith("{digest}.dcm"):
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(deadly)
"""
"""Kills the process that decodes when it opens one film: what a decoder with a bug would do."""


def test_a_film_that_kills_the_child_is_set_aside_and_its_neighbours_go_on(tmp_path: Path) -> None:
    node = Node(tmp_path, environment={"PYTHONPATH": str(tmp_path / "poison")})
    films = [chest() for _ in range(8)]
    deadly = films[3]
    digest = hashlib.sha256(data_set(node.written(deadly))).hexdigest()
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "sitecustomize.py").write_text(POISON.format(digest=digest), "utf-8")
    with node:
        node.send(*films)  # before the model is loaded, so that they are taken as one batch

        studies = node.wait_final(*(film.StudyInstanceUID for film in films))

        assert [len(study["outputs"]) for study in studies] == [0 if film is deadly else 2 for film in films]
        (entry,) = [one for one in node.worklist() if one["study_instance_uid"] == deadly.StudyInstanceUID]
        assert entry["state"] == "not_analysed"
        assert "died twice while it ran alone (SIGKILL)" in entry["reason"]
        assert [event["code"] for event in studies[3]["events"] if event["event"] == "job.failed"] == ["CRASH"]
        assert len(node.logged("child.died")) == 3  # in the batch, which condemns nobody, then twice alone
        assert node.status()["dead_letters"] == 1
        assert node.status()["ready"]
