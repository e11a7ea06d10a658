"""What befalls the processes that decode films: killed at each step, stopped, without memory. No film is lost by it,
none ends without its heat map, and none is charged with what it did not do."""

import hashlib
import os
import signal
from pathlib import Path

import pytest

from cxr_node.demo.phantom import project
from tests.fault.damage import data_set
from tests.fault.test_bad_child import starve
from tests.films import chest
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault

DECODER = "cxr_node.decoding"
DEADLY_ONCE = """
import os, signal, sys
if "cxr_node.decoding" in sys.orig_argv:
    def deadly(event, arguments):
        if event == "{event}" and "{digest}{suffix}" in str(arguments[0]) and not os.path.exists("{mark}"):
            open("{mark}", "x").close()
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(deadly)
"""
"""Kills the first decoder that comes to do something with a film."""


def outputs(node: Node, *films: str) -> list[list[str]]:
    return [[output["kind"] for output in study["outputs"]] for study in node.wait_final(*films)]


@pytest.mark.parametrize(
    ("event", "suffix", "charged"),
    [("open", ".dcm", True), ("open", ".png", False), ("os.rename", ".png", False)],
    ids=["reads", "draws", "has drawn"],
)
def test_a_decoder_that_is_killed_while_it(tmp_path: Path, event: str, suffix: str, charged: bool) -> None:
    poison, mark = tmp_path / "poison", tmp_path / "killed"
    node = Node(tmp_path, environment={"PYTHONPATH": str(poison)})
    film, other = chest(), chest()
    digest = hashlib.sha256(data_set(node.written(film))).hexdigest()
    poison.mkdir()
    text = DEADLY_ONCE.format(event=event, digest=digest, suffix=suffix, mark=mark)
    (poison / "sitecustomize.py").write_text(text, "utf-8")
    with node:
        node.analysing().send(film)
        assert outputs(node, film.StudyInstanceUID) == [["sr", "sc"]]
        assert mark.exists()
        node.send(other)
        assert outputs(node, other.StudyInstanceUID) == [["sr", "sc"]]

        doing = [entry["doing"] for entry in node.logged("decoder.died")]
        assert doing == ["reading" if charged else "drawing"]
        assert [entry["how"] for entry in node.logged("child.died")] == (["SIGKILL"] if charged else [])
        assert len(node.files("pictures")) == 2
        assert node.status()["dead_letters"] == 0


def test_a_decoder_that_is_killed_while_it_rests_is_no_films_fault(node: Node) -> None:
    film = chest()
    node.analysing()
    (decoder,) = node.processes(DECODER)
    node.kill(DECODER)

    node.send(film)

    assert outputs(node, film.StudyInstanceUID) == [["sr", "sc"]]
    assert not node.logged("child.died")
    assert decoder not in node.processes(DECODER)


def test_decoders_load_no_network_and_end_with_the_process_that_judges_even_where_they_are_stopped(node: Node) -> None:
    node.analysing()
    (decoder,) = node.processes(DECODER)
    assert "libtorch" not in Path(f"/proc/{decoder}/maps").read_text("utf-8")
    os.kill(decoder, signal.SIGSTOP)

    node.kill("infer")

    wait_for(lambda: decoder not in node.processes(DECODER), what="the end of the orphan")


def test_a_decoder_that_hangs_holds_up_films_and_nothing_else(node: Node) -> None:
    """After some silent minutes the process that judges is killed, as where itself hangs."""
    film = chest()
    node.analysing()
    (decoder,) = node.processes(DECODER)
    os.kill(decoder, signal.SIGSTOP)

    node.send(film)

    assert [entry["state"] for entry in node.worklist()] == ["waiting"]
    assert node.echoes()
    os.kill(decoder, signal.SIGCONT)
    assert outputs(node, film.StudyInstanceUID) == [["sr", "sc"]]


def test_a_decoder_without_memory(node: Node) -> None:
    """Nobody knows what else would fail, so that all of it begins anew; none of the films is set aside for it."""
    large = [chest(pixels=project(rows=3000, columns=2500, seed=1)) for _ in range(3)]
    node.analysing()
    (decoder,) = node.processes(DECODER)
    starve(decoder)

    node.send(*large)

    assert outputs(node, *(film.StudyInstanceUID for film in large)) == [["sr", "sc"]] * 3
    assert node.logged("worker.broken")
    assert decoder not in node.processes(DECODER)


def test_several_decoders_share_a_batch(tmp_path: Path) -> None:
    films = [chest() for _ in range(8)]
    with Node(tmp_path, inference__decoders=3) as node:
        node.send(*films)  # before the model is loaded, so that they are taken as one batch
        assert outputs(node, *(film.StudyInstanceUID for film in films)) == [["sr", "sc"]] * 8
        assert len(node.processes(DECODER)) == 3
        assert len(node.files("pictures")) == 8
