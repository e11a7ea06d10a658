"""The files of the node: under their name only when they are whole and on the disk."""

import errno
import os
from pathlib import Path

import pytest

from cxr_node.errors import Transient
from cxr_node.imaging.digest import data_set_digest
from cxr_node.spool import Spool
from tests import films


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "var", watermark=0)
    spool.prepare()
    return spool


def test_its_folders_are_the_services_alone(spool: Spool) -> None:
    folders = sorted(path.name for path in spool.root.iterdir())
    assert folders == ["films", "incoming", "outbox", "pictures", "quarantine"]
    assert {path.stat().st_mode & 0o777 for path in spool.root.iterdir()} == {0o700}


def test_preparing_again_keeps_what_is_there(spool: Spool) -> None:
    (spool.films / "a").touch()
    spool.prepare()
    assert (spool.films / "a").exists()


def test_a_film_leaves_its_part_for_a_name_made_of_its_digest(spool: Spool) -> None:
    part = spool.incoming / "x.part"
    part.write_bytes(b"film")
    with part.open("rb") as stream:
        kept = spool.keep_film(part, stream, "ab12")
    assert kept == "films/ab/ab12.dcm"
    assert spool.path(kept).read_bytes() == b"film"
    assert list(spool.incoming.iterdir()) == []


def test_bytes_and_folders_are_synced_before_and_after_the_rename(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, final = spool.incoming / "x.part", spool.films / "ab" / "ab12.dcm"
    part.write_bytes(b"film")
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name, final.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    with part.open("rb") as stream:
        spool.keep_film(part, stream, "ab12")
    assert synced == [("x.part", False), ("ab", True)]
    assert sum(1 for _ in spool.films.iterdir()) == 256, "no film waits for its folder"


def test_a_document_is_written_whole_and_may_be_written_again(spool: Spool) -> None:
    for content in (b"first", b"second"):
        assert spool.write(spool.outbox / "1.2.dcm", content) == "outbox/1.2.dcm"
        assert (spool.outbox / "1.2.dcm").read_bytes() == content
    assert list(spool.incoming.iterdir()) == []


def test_a_full_disk_is_transient_and_leaves_no_part(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Transient, match="No space left on device") as failed:
        spool.write(spool.outbox / "1.2.dcm", b"x")
    assert failed.value.code == "DISK_FULL"
    assert list(spool.incoming.iterdir()) == []
    assert list(spool.outbox.iterdir()) == []


def test_half_written_parts_are_dropped_on_a_start(spool: Spool) -> None:
    for name in ("a.part", "b.part"):
        (spool.incoming / name).touch()
    assert spool.drop_parts() == 2
    assert spool.drop_parts() == 0


def test_the_watermark_is_free_space(tmp_path: Path) -> None:
    free = Spool(tmp_path, 0).free_bytes()
    assert free > 0
    assert not Spool(tmp_path, free // 2).below_watermark()
    assert Spool(tmp_path, free * 2).below_watermark()


def test_a_picture_stands_beside_its_film_by_digest(spool: Spool) -> None:
    assert spool.picture("ab12") == spool.pictures / "ab" / "ab12.png"
    spool.write(spool.picture("ab12"), b"png")
    assert spool.picture("ab12").read_bytes() == b"png"


def test_the_digest_is_that_of_the_data_set_whatever_the_file_meta(tmp_path: Path) -> None:
    film = films.chest(1)
    first = data_set_digest(films.write(film, tmp_path / "a.dcm"))
    film.file_meta.ImplementationVersionName = "ANOTHER_SENDER"
    film.file_meta.SourceApplicationEntityTitle = "ELSEWHERE"
    assert data_set_digest(films.write(film, tmp_path / "b.dcm")) == first
    film.PatientName = "Doe^Joan"
    assert data_set_digest(films.write(film, tmp_path / "c.dcm")) != first


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 132, b"x" * 150])
def test_every_byte_counts_where_there_is_no_file_meta(tmp_path: Path, content: bytes) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(content + b"a")
    other.write_bytes(content + b"b")
    assert data_set_digest(one) != data_set_digest(other)
