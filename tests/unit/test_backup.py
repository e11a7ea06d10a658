"""The state as one file: made while others write, whole or not at all, and put back only where nothing is lost."""

import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database
from structlog.testing import capture_logs

from cxr_node import backup, keys
from cxr_node.config import Config
from cxr_node.config.pair import Pair
from cxr_node.errors import ConfigError, Permanent
from cxr_node.lease import Candidate
from cxr_node.lock import only_one
from cxr_node.opening import backups_of, open_own_store
from cxr_node.plan import database_of, open_store
from cxr_node.store import db, events
from cxr_node.store.copying import copy
from cxr_node.store.db import Store

NOON = 1767268800.0


def config(folder: Path) -> Config:
    return Config.model_validate({"node": {"data_dir": folder}})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Config]:
    """A node's folder with an event, a film and a document."""
    found = config(tmp_path / "node")
    with closing(open_store(found)) as store, store.transaction() as tx:
        events.append(tx, NOON, "node.started", None)
    keys.pseudonyms(found.node.data_dir, create=True)
    for name in ("films/ab/ab12.dcm", "outbox/1.2.dcm"):
        path = found.node.data_dir / name
        path.parent.mkdir(parents=True)
        path.write_bytes(name.encode() * 1000)
    yield found


def started(config: Config) -> int:
    with closing(open_store(config, create=False)) as store, store.reading() as tx:
        return len(events.named_since(tx, "node.started", 0.0))


def test_it_comes_back_as_it_was(site: Config, tmp_path: Path) -> None:
    made = backup.make(site, tmp_path / "a.tar", NOON)
    assert (made.made, made.films, made.files) == ("2026-01-01T12:00:00.000Z", True, 4)
    assert (tmp_path / "a.tar").stat().st_mode & 0o777 == 0o600
    other = config(tmp_path / "other")
    found = backup.restore(other, tmp_path / "a.tar")
    assert found.made == made.made
    assert started(other) == 1
    for name in ("films/ab/ab12.dcm", "outbox/1.2.dcm", "pseudonym.key"):
        assert (other.node.data_dir / name).read_bytes() == (site.node.data_dir / name).read_bytes()
    assert {path.name for path in other.node.data_dir.iterdir()} >= {"cxr-node.sqlite", "films", "outbox"}
    assert not [path for path in other.node.data_dir.iterdir() if path.name.startswith(".restore-")]


def test_without_films_it_is_small(site: Config, tmp_path: Path) -> None:
    backup.make(site, tmp_path / "a.tar", NOON, films=False)
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames() == ["cxr-node.sqlite", "pseudonym.key", "outbox/1.2.dcm", "manifest.json"]


def test_the_copy_is_of_one_moment_while_others_write(site: Config, tmp_path: Path) -> None:
    """Pairs of rows that are always written together are never found apart."""
    stopping = threading.Event()

    def write() -> None:
        with closing(open_store(site)) as store:
            while not stopping.is_set():
                with store.transaction() as tx:
                    events.append(tx, NOON, "pair.first", None, filler="x" * 5000)
                    events.append(tx, NOON, "pair.second", None)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            copy(database_of(site), tmp_path / f"{number}.sqlite")
    finally:
        stopping.set()
        writer.join()
    for number in range(5):
        assert db.examine(tmp_path / f"{number}.sqlite", 60)
        with closing(Store.open(tmp_path / f"{number}.sqlite", create=False)) as store, store.reading() as tx:
            counts = events.counts(tx, 0, events.last(tx))
        assert counts.get("pair.first") == counts.get("pair.second")
    assert not list(tmp_path.glob("*.part"))


def test_a_name_that_is_taken_is_left_alone(site: Config, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("mine")
    with pytest.raises(Permanent, match="exists; give another name"):
        backup.make(site, tmp_path / "a.tar", NOON)
    assert (tmp_path / "a.tar").read_text() == "mine"


def test_of_two_nodes_it_is_made_where_the_node_works(site: Config, tmp_path: Path) -> None:
    """Two hosts never have the database open together."""
    taken = Candidate(site.node.data_dir, "north", 2.0, lambda: 0.0).attempt()
    assert taken is not None
    north, south = (site.model_copy(update={"pair": Pair(name=name)}) for name in ("north", "south"))
    backup.make(north, tmp_path / "north.tar", NOON)
    with pytest.raises(Permanent, match="south stands by, and north works"):
        backup.make(south, tmp_path / "south.tar", NOON)
    assert not (tmp_path / "south.tar").exists()
    os.close(taken[1])


def test_a_folder_that_is_not_there_is_said(site: Config, tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="cannot write"):
        backup.make(site, tmp_path / "nowhere" / "a.tar", NOON)


def test_without_a_database_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="there is no database"):
        backup.make(config(tmp_path / "new"), tmp_path / "a.tar", NOON)


def test_it_is_not_put_over_what_is_there(site: Config, tmp_path: Path) -> None:
    backup.make(site, tmp_path / "a.tar", NOON)
    with pytest.raises(Permanent, match=r"already has cxr-node\.sqlite, outbox, films; move") as refused:
        backup.restore(site, tmp_path / "a.tar")
    assert refused.value.code == "RESTORE_FOLDER"


def test_it_is_not_put_under_a_node_that_runs(site: Config, tmp_path: Path) -> None:
    backup.make(site, tmp_path / "a.tar", NOON)
    other = config(tmp_path / "other")
    with only_one(other.node.data_dir), pytest.raises(ConfigError, match="a backup is put back where no node runs"):
        backup.restore(other, tmp_path / "a.tar")


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20_000])


def damage_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.index(b"outbox/1.2.dcm" * 10)
    data[at] ^= 1
    path.write_bytes(data)


def damage_outside(path: Path) -> None:
    with tarfile.open(path, "a") as archive:
        archive.addfile(tarfile.TarInfo("../escaped"))


def damage_other(path: Path) -> None:
    path.write_text("no archive at all")


@pytest.mark.parametrize("damage", [damage_cut, damage_bit, damage_outside, damage_other])
def test_a_damaged_archive_changes_nothing(site: Config, tmp_path: Path, damage: object) -> None:
    backup.make(site, tmp_path / "a.tar", NOON)
    damage(tmp_path / "a.tar")  # type: ignore[operator]
    other = config(tmp_path / "other")
    with pytest.raises(Permanent, match="cannot be put back") as refused:
        backup.restore(other, tmp_path / "a.tar")
    assert refused.value.code == "BACKUP"
    assert [path.name for path in other.node.data_dir.iterdir()] == ["lock"]
    assert not (tmp_path / "escaped").exists()


LAST = db.migrations._migrations[-1].name


@pytest.fixture
def outdated(tmp_path: Path) -> Config:
    """A node's folder whose database is one migration behind."""
    found = config(tmp_path / "old")
    found.node.data_dir.mkdir()
    with closing(Database(database_of(found))) as raw:
        db.migrations.apply(raw, stop_before=LAST)
        raw.execute("INSERT INTO setting VALUES ('who', 'was here before')")
        raw.conn.commit()
    return found


def test_an_upgrade_keeps_the_database_of_before(outdated: Config) -> None:
    assert db.outdated(database_of(outdated)) == LAST
    with capture_logs() as logs, closing(open_own_store(outdated)) as store, store.reading() as tx:
        assert tx.rows("SELECT value FROM setting") == [{"value": "was here before"}]
    assert db.outdated(database_of(outdated)) is None
    (told,) = [entry for entry in logs if entry["event"] == "database.upgraded"]
    kept = backups_of(outdated.node.data_dir) / f"before-{LAST}.sqlite"
    assert (told["first"], told["backup"], told["bytes"]) == (LAST, str(kept), kept.stat().st_size)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert db.outdated(kept) == LAST
    with closing(Database(kept)) as copied:
        assert list(copied.query("SELECT value FROM setting")) == [{"value": "was here before"}]


def test_the_next_start_makes_no_other_copy(outdated: Config) -> None:
    open_own_store(outdated).close()
    with capture_logs() as logs:
        open_own_store(outdated).close()
    assert logs == []


def test_without_room_for_the_copy_nothing_is_upgraded(outdated: Config) -> None:
    backups_of(outdated.node.data_dir).write_text("in the way")
    with pytest.raises(Permanent, match="cannot copy the database") as refused:
        open_own_store(outdated)
    assert refused.value.code == "BACKUP"
    assert db.outdated(database_of(outdated)) == LAST


def test_a_database_of_a_later_release_is_refused_with_the_way_back(site: Config) -> None:
    with closing(Database(database_of(site))) as raw:
        applied = next(raw["_sqlite_migrations"].rows)
        raw["_sqlite_migrations"].insert({**applied, "id": None, "name": "m999_later"})
    with pytest.raises(Permanent, match=r"later release.*m999_later.*folder backups beside it") as refused:
        open_own_store(site)
    assert refused.value.code == "DATABASE"
    assert not backups_of(site.node.data_dir).exists()


def test_the_manifest_says_what_is_in_it(site: Config, tmp_path: Path) -> None:
    backup.make(site, tmp_path / "a.tar", NOON)
    with tarfile.open(tmp_path / "a.tar") as archive:
        stream = archive.extractfile("manifest.json")
        assert stream
        about = json.load(stream)
    assert set(about) == {"made", "release", "films", "files"}
    assert len(about["files"]) == 4
