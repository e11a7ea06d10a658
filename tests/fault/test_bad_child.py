"""What befalls the inference child: no memory, a device that answers no more, a hang. The films go on, and none waits
for ever."""

import os
import resource
import signal
from pathlib import Path

import pytest

from tests.films import chest
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault


def starve(child: int) -> None:
    """From now on a process gets no more memory than it has."""
    pages = int(Path(f"/proc/{child}/statm").read_text("ascii").split()[0])
    has = pages * os.sysconf("SC_PAGE_SIZE")
    resource.prlimit(child, resource.RLIMIT_AS, (has, has))


def test_a_child_whose_every_prediction_fails_from_now_on(node: Node) -> None:
    """For want of memory here; a GPU that is lost ends every call in the same way, with an error of torch's."""
    films = [chest() for _ in range(8)]
    node.analysing()
    node.send(chest())
    node.wait_idle()
    (child,) = node.processes("infer")
    os.kill(child, signal.SIGSTOP)
    starve(child)
    node.send(*films)
    os.kill(child, signal.SIGCONT)  # eight films at once, which need more than one took

    studies = node.wait_final(*(film.StudyInstanceUID for film in films))
    assert [[output["kind"] for output in study["outputs"]] for study in studies] == [["sr", "sc"]] * 8
    assert {entry["state"] for entry in node.worklist()} == {"analysed"}
    assert node.logged("worker.broken")
    assert child not in node.processes("infer")


def test_a_child_that_hangs(tmp_path: Path, *, long: bool) -> None:
    """Films are taken meanwhile. After five silent minutes it is killed, which the long run waits for."""
    film = chest()
    with Node(tmp_path) as node:
        node.analysing()
        (child,) = node.processes("infer")
        os.kill(child, signal.SIGSTOP)

        node.send(film)

        assert [entry["state"] for entry in node.worklist()] == ["waiting"]
        assert node.echoes()
        if long:
            wait_for(lambda: node.logged("child.hanging"), timeout=600, what="the end of the child")
        else:
            os.kill(child, signal.SIGCONT)
        (study,) = node.wait_final(film.StudyInstanceUID)
        assert [output["kind"] for output in study["outputs"]] == ["sr", "sc"]
