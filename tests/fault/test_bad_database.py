"""A database that is damaged or gone: the node says so and leaves every byte as it was, or loses nothing by it."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.films import chest
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault

NAME = "cxr-node.sqlite"
PAGE = 4096


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a node that has reported two films and was stopped in good order."""
    with Node(tmp_path_factory.mktemp("stopped")) as node:
        films = [chest(), chest()]
        node.send(*films)
        node.wait_final(*(film.StudyInstanceUID for film in films))
        assert node.terminate() == 0
        assert not (node.data / f"{NAME}-wal").exists()
        return node.data


def flip(path: Path, *pages: int) -> None:
    """Invert the first bytes of some pages."""
    content = bytearray(path.read_bytes())
    for page in pages:
        start = page * PAGE
        content[start : start + 64] = bytes(byte ^ 0xFF for byte in content[start : start + 64])
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 // PAGE * PAGE])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "its header is spoiled": (lambda path: flip(path, 0), "DATABASE_DAMAGED"),
    "some of its pages are spoiled": (lambda path: flip(path, 3, 9, 14), "DATABASE_DAMAGED"),
    "its second half is gone": (cut, "DATABASE_DAMAGED"),
    "it is no database": (lambda path: path.write_bytes(b"no database " * 1000), "DATABASE_DAMAGED"),
    "it is empty": (lambda path: path.write_bytes(b""), "DATABASE_LOST"),
    "it is gone": (Path.unlink, "DATABASE_LOST"),
}


@pytest.mark.parametrize(("damage", "code"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_database_that_is_damaged(stopped: Path, tmp_path: Path, damage: Callable[[Path], object], code: str) -> None:
    node = Node(tmp_path)
    shutil.copytree(stopped, node.data)
    damage(node.data / NAME)
    before = digests(node.data)

    ended = node.command("serve")

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{code}: the database {node.data / NAME}")
    assert "nothing was changed" in ended.stderr
    assert "put a backup in its place" in ended.stderr.replace("Put", "put")
    assert "Traceback" not in ended.stderr
    assert digests(node.data).items() >= before.items()


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_log_of_the_database_that_is_spoiled(tmp_path: Path) -> None:
    """SQLite drops what follows the damage, without a word; the films are still there and are taken in again."""
    films = [chest() for _ in range(4)]
    with Node(tmp_path) as node:
        node.send(*films)
        node.kill()
        node.kill("")
        log = node.data / f"{NAME}-wal"
        flip(log, log.stat().st_size // PAGE // 2)

        node.start()

        wait_for(lambda: node.logged("spool.film_recovered"), what="a film that is taken in again")
        wait_for(lambda: all(node.study(film.StudyInstanceUID) for film in films), what="every film")
        studies = node.wait_final(*(film.StudyInstanceUID for film in films))
        assert [[output["kind"] for output in study["outputs"]] for study in studies] == [["sr", "sc"]] * 4
