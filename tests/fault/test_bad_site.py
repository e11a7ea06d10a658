"""What the site does to a node: a wrong configuration, a spoiled model, a full or read-only disk, a broken database."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cxr_node.inference import build, manifest
from tests.films import chest
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault

FAULT, OUT_OF_RESOURCES = 0x0110, 0xA700
MEGABYTE = 1 << 20
LOADING = "the model is being loaded"


def test_a_configuration_with_three_mistakes(tmp_path: Path) -> None:
    node = Node(tmp_path, receive__port=11112, node__mode="everything", study__settle_secs=5)
    text = node.file.read_text("utf-8").replace("port = 11112", "port = 0")
    node.file.write_text(text, "utf-8")

    ended = node.command("serve")

    assert ended.returncode == 78
    assert "3 mistakes" in ended.stderr
    for said in ("node.mode: Input should be", "receive.port: ", "study.settle_secs: unknown key; did you mean"):
        assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_model_that_is_not_as_released(tmp_path: Path) -> None:
    shutil.copytree(build.builtin_directory(), tmp_path / "models")
    weights = manifest.find(tmp_path / "models", "cxr-pneumonia").weights
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    film = chest()
    with Node(tmp_path, model__directory=str(tmp_path / "models")) as node:
        node.send(film)
        wait_for(lambda: node.logged("infer.unavailable"), what="a line in the log")
        status = wait_for(lambda: (s := node.status())["inference"]["reason"] != LOADING and s, what="a reason")
        reason = status["inference"]["reason"]
        assert (status["ready"], status["listening"], status["inference"]["state"]) == (False, True, "unavailable")
        assert "weights.safetensors" in reason
        assert "not as released" in reason
        assert status["queues"]["analyse"] == {"ready": 1, "running": 0, "failed": 0}
        assert [entry["state"] for entry in node.worklist()] == ["waiting"]
        shown = node.command("status")
        assert shown.returncode == 1
        assert reason in shown.stdout

        weights.write_bytes(sound)

        wait_for(lambda: node.status()["ready"], what="a node that analyses")
        (study,) = node.wait_final(film.StudyInstanceUID)
        assert [output["kind"] for output in study["outputs"]] == ["sr", "sc"]

        metadata = weights.parent / "configs" / "metadata.json"
        released = metadata.read_bytes()
        metadata.write_bytes(released + b"\n")  # another release under the same version, sound in itself
        node.send(first := chest())
        node.wait_final(first.StudyInstanceUID)  # by the model that was loaded
        node.kill("infer")
        wait_for(lambda: told(node, "MODEL_REPLACED"), what="a line in the log")
        node.send(second := chest())
        assert [entry["state"] for entry in node.worklist()].count("waiting") == 1
        assert "restart the node" in node.status()["inference"]["reason"]

        metadata.write_bytes(released)

        (study,) = node.wait_final(second.StudyInstanceUID)
        assert [output["kind"] for output in study["outputs"]] == ["sr", "sc"]


def told(node: Node, code: str) -> bool:
    """Whether the log says that there is no inference, for this reason."""
    return any(line["code"] == code for line in node.logged("infer.unavailable"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount the small file system that this test fills")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill the disk but for `leave` bytes; the file to remove."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        try:
            while shutil.disk_usage(disk).free > leave:
                stream.write(bytes(min(MEGABYTE, shutil.disk_usage(disk).free - leave)))
        except OSError:
            assert leave == 0
    return ballast


def test_a_disk_below_its_watermark(small_disk: Path, tmp_path: Path) -> None:
    with Node(tmp_path, node__data_dir=str(small_disk), retention__watermark_gigabytes=0.02) as node:
        ballast = fill(small_disk, leave=16 * MEGABYTE)

        assert "disk is almost full" in node.send(chest(), expect=OUT_OF_RESOURCES)
        assert node.echoes()
        assert not node.files("incoming")
        assert not node.files("films")

        ballast.unlink()
        film = chest()
        node.send(film)
        (study,) = node.wait_final(film.StudyInstanceUID)
        assert len(study["outputs"]) == 2


def test_a_disk_that_is_full(small_disk: Path, tmp_path: Path) -> None:
    """No watermark saves this one: the writes themselves fail, in the listener, the database and the children."""
    film, late = chest(), chest()
    with Node(tmp_path, node__data_dir=str(small_disk)) as node:
        node.send(film)
        ballast = fill(small_disk)

        for _ in range(3):
            node.send(late, expect=OUT_OF_RESOURCES)
        assert node.echoes()
        assert not node.files("incoming")

        ballast.unlink()
        node.send(late)
        studies = node.wait_final(film.StudyInstanceUID, late.StudyInstanceUID)
        assert [len(study["outputs"]) for study in studies] == [2, 2]


def test_a_spool_that_is_gone(node: Node) -> None:
    """As when a volume was not mounted: our own fault, and over when it is there again."""
    film = chest()
    away = node.data / "away"
    (node.data / "incoming").rename(away)

    node.send(film, expect=FAULT)
    assert node.echoes()

    away.rename(node.data / "incoming")
    node.send(film)
    (study,) = node.wait_final(film.StudyInstanceUID)
    assert len(study["outputs"]) == 2


def test_a_database_that_another_process_holds(node: Node) -> None:
    """Long enough for the listener and the supervisor to give up once."""
    film = chest()
    with closing(sqlite3.connect(node.data / "cxr-node.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        node.kill("infer")  # whose death cannot be recorded now
        node.send(film, expect=OUT_OF_RESOURCES)
        assert node.echoes()
        wait_for(lambda: node.logged("child.unrecorded"), what="a line in the log")
        other.rollback()

    node.send(film)
    (study,) = node.wait_final(film.StudyInstanceUID)
    assert len(study["outputs"]) == 2
    assert len(study["instances"]) == 1


def test_a_read_only_database(small_disk: Path, tmp_path: Path) -> None:
    node = Node(tmp_path, node__data_dir=str(small_disk))
    with node:
        node.send(chest())
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    ended = node.command("serve")

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"DATABASE: cannot open the database {small_disk}")
