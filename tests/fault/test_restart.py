"""Starting and stopping: spool and database are brought together again, and what is under way is finished."""

import hashlib
import signal
from pathlib import Path

import pytest

from cxr_node import views
from tests.fault.damage import data_set
from tests.fault.half import half_sent
from tests.films import chest, write
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault


def test_spool_and_database_are_brought_together(tmp_path: Path) -> None:
    """A part was half written; a film has no row, as after a fall between rename and commit; a stray file is no film;
    and a film's file is gone."""
    kept, orphan = chest(), chest()
    with Node(tmp_path) as node:
        node.send(kept)
        (study,) = node.wait_final(kept.StudyInstanceUID)
        assert node.status()["missing_files"] == 0
        node.terminate()
        part = node.data / "incoming" / "tmp1234.part"
        part.write_bytes(b"half a film")
        written = write(orphan, tmp_path / "film.dcm")
        digest = hashlib.sha256(data_set(written)).hexdigest()
        target = node.data / "films" / digest[:2] / f"{digest}.dcm"
        target.parent.mkdir(exist_ok=True)
        written.rename(target)
        stray = node.data / "films" / "ab" / f"ab{'0' * 62}.dcm"
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"no film " * 100)
        lost = node.data / study["instances"][0]["path"]
        lost.unlink()

        node.start()

        ready = wait_for(lambda: node.logged("node.ready")[1:], what="a line in the log")
        assert ready[0]["dropped_parts"] == 1
        assert not part.exists()
        wait_for(lambda: node.logged("spool.files_missing"), what="a line in the log")
        assert node.status()["missing_files"] == 1
        assert "1 films have no file" in node.command("status").stdout
        assert node.logged("spool.film_unreadable")
        assert [path.read_bytes() for path in node.files("quarantine")] == [b"no film " * 100]
        assert not stray.exists()
        (study,) = node.wait_final(orphan.StudyInstanceUID)
        assert [output["kind"] for output in study["outputs"]] == ["sr", "sc"]
        assert target.is_file()
        assert not node.files("incoming")

        node.send(kept)
        assert lost.is_file()
        node.terminate()
        node.start()
        wait_for(lambda: len(node.events("spool.files_missing")) == 2, what="an event")
        assert node.status()["missing_files"] == 0


def test_a_second_node_on_the_same_folder_is_refused(node: Node, tmp_path: Path) -> None:
    second = Node(tmp_path / "second", node__data_dir=str(node.data)).command("serve")

    assert second.returncode == 78
    assert f"another node is running on {node.data}" in second.stderr
    assert node.echoes()


def test_a_port_that_is_taken_is_said(node: Node, tmp_path: Path) -> None:
    second = Node(tmp_path / "second", receive__port=node.port).command("serve")

    assert second.returncode == 78
    assert f"cannot listen on 127.0.0.1 port {node.port}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_stopping_node_finishes_the_film_in_hand(tmp_path: Path) -> None:
    film = chest()
    with Node(tmp_path, receive__max_pdu=16384) as node:
        with half_sent(node, film) as (_, rest):
            wait_for(lambda: node.files("incoming"), what="a part")
            node.signal(signal.SIGTERM)
            wait_for(lambda: not views.answers(node.config), what="an end of listening")

            assert rest() == 0x0000

        assert node.wait() == 0
        assert node.study(film.StudyInstanceUID)["instances"]
        node.start()
        (study,) = node.wait_final(film.StudyInstanceUID)
        assert [output["kind"] for output in study["outputs"]] == ["sr", "sc"]


def test_a_stopping_node_hands_its_leases_back(tmp_path: Path) -> None:
    films = [chest() for _ in range(8)]
    with Node(tmp_path) as node:
        node.analysing()
        node.send(*films)

        assert node.terminate() == 0

        assert not node.rows("SELECT * FROM job WHERE state = 'running' OR owner IS NOT NULL")
        assert not node.processes()
        assert {line["event"] for line in node.logged("node.stopped")} == {"node.stopped"}
        node.start()
        studies = node.wait_final(*(film.StudyInstanceUID for film in films))
        assert [len(study["outputs"]) for study in studies] == [2] * 8
