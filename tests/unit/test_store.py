"""The database: made from nothing, shared by processes, and never half-written."""

import json
import multiprocessing
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlite_utils import Database

from cxr_node.domain.eligibility import Refusal
from cxr_node.errors import Permanent, Transient
from cxr_node.message import Message
from cxr_node.store import db, events, studies
from cxr_node.store.db import Store, Tx, examine
from cxr_node.store.kept import keep, told
from cxr_node.store.migrations import migrations
from tests.node import wait_for

TABLES = {
    "instance", "job", "result", "study_revision", "document", "delivery", "worklist_entry", "setting", "event",
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "node.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store.open(path)
    yield store
    store.close()


def settings(store: Store) -> set[str]:
    with store.reading() as tx:
        return {row["name"] for row in tx.rows("SELECT name FROM setting")}


def put(tx: Tx, name: str) -> int:
    return tx.execute("INSERT INTO setting VALUES (?, '')", (name,))


def test_an_empty_folder_becomes_a_database_of_the_current_schema(store: Store) -> None:
    with store.reading() as tx:
        tables = {row["name"] for row in tx.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables >= TABLES


def test_it_survives_a_power_cut(store: Store) -> None:
    with store.reading() as tx:
        assert tx.row("PRAGMA journal_mode") == {"journal_mode": "wal"}
        assert tx.row("PRAGMA synchronous") == {"synchronous": 2}
        assert tx.row("PRAGMA foreign_keys") == {"foreign_keys": 1}


def test_what_would_be_found_out_anew_costs_no_sync_and_all_else_does(store: Store) -> None:
    with store.transaction(durable=False) as tx:
        assert tx.row("PRAGMA synchronous") == {"synchronous": 1}
        put(tx, "kept")
    with store.transaction() as tx:
        assert tx.row("PRAGMA synchronous") == {"synchronous": 2}
    assert settings(store) == {"kept"}


def many(store: Store, works: Sequence[Callable[[Tx], object]]) -> list[BaseException | None]:
    """Each of `works` by a thread of its own, all of them at the door while another holds the connection."""
    held, failures = threading.Event(), [None] * len(works)

    def hold() -> None:
        with store.transaction():
            held.set()
            wait_for(lambda: len(store._together._waiting) == len(works), what="all of them at the door")

    def work(number: int) -> None:
        try:
            store.together(works[number])
        except (sqlite3.Error, ValueError) as error:
            failures[number] = error

    threads = [threading.Thread(target=hold), *(threading.Thread(target=work, args=(n,)) for n in range(len(works)))]
    threads[0].start()
    assert held.wait(60)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures


def test_what_waits_is_written_in_one_transaction(store: Store) -> None:
    changes: list[object] = []

    def work(name: str) -> Callable[[Tx], None]:
        return lambda tx: changes.append((put(tx, name), tx.row("SELECT count(*) AS n FROM setting")))

    assert many(store, [work(f"{number}") for number in range(20)]) == [None] * 20
    assert settings(store) == {f"{number}" for number in range(20)}
    assert changes == [(1, {"n": number + 1}) for number in range(20)], "each is done once, and sees those before"


def test_a_row_that_is_refused_fails_alone(store: Store) -> None:
    works = [lambda tx, name=name: put(tx, name) for name in ("a", "b", "b", "c")]
    failures = many(store, works)
    assert settings(store) == {"a", "b", "c"}
    assert [type(each) for each in failures if each] == [sqlite3.IntegrityError]


def test_what_goes_wrong_otherwise_undoes_all_and_the_others_write_on_their_own(store: Store) -> None:
    def fail(tx: Tx) -> None:
        put(tx, "lost")
        raise ValueError

    failures = many(store, [lambda tx: put(tx, "a"), fail, lambda tx: put(tx, "b")])
    assert "lost" not in settings(store)
    assert 1 <= len([each for each in failures if each]) <= 2, "its own thread is told, and who did it for all"
    kept = {name for name, failure in zip(("a", "b"), failures[::2], strict=True) if failure is None}
    assert settings(store) == kept


def test_opening_again_keeps_what_is_there(store: Store, path: Path) -> None:
    with store.transaction() as tx:
        put(tx, "kept")
    again = Store.open(path)
    assert settings(again) == {"kept"}
    again.close()


def test_a_database_of_a_later_release_is_refused_with_advice(store: Store, path: Path) -> None:
    with store.transaction() as tx:
        tx.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('cxr_node', 'm999_later', '')"
        )
    with pytest.raises(Permanent, match=r"written by a later release .*m999_later.*put the copy from before"):
        Store.open(path)


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.sqlite"
    path.write_bytes(content)
    with pytest.raises(Permanent, match="cannot open the database") as refused:
        Store.open(path)
    assert refused.value.code == "DATABASE"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Permanent, match="cannot open the database"):
        Store.open(tmp_path / "file" / "node.sqlite")


def test_only_the_service_may_read_it(store: Store, path: Path) -> None:
    with store.transaction() as tx:
        put(tx, "kept")
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_who_only_looks_makes_no_database(path: Path) -> None:
    with pytest.raises(Permanent, match="there is no database") as refused:
        Store.open(path, create=False)
    assert refused.value.code == "DATABASE"
    assert not path.parent.exists()


def test_who_only_looks_finds_what_is_there(store: Store, path: Path) -> None:
    with store.transaction() as tx:
        put(tx, "kept")
    looking = Store.open(path, create=False)
    assert settings(looking) == {"kept"}
    looking.close()


def test_who_only_looks_does_not_migrate(tmp_path: Path) -> None:
    path = tmp_path / "node.sqlite"
    path.touch()
    with pytest.raises(Permanent, match="written by an earlier release"):
        Store.open(path, create=False)
    assert path.read_bytes() == b""


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction() as tx:
        put(tx, "half")
        raise RuntimeError
    assert settings(store) == set()
    with store.transaction() as tx:
        put(tx, "afterwards")
    assert settings(store) == {"afterwards"}


def test_what_is_written_while_reading_is_not_kept(store: Store) -> None:
    with store.reading() as tx:
        put(tx, "stray")
    assert settings(store) == set()


def test_a_busy_database_is_a_transient_failure(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "_BUSY_SECONDS", 0.05)
    impatient = Store.open(path)
    with store.transaction() as tx:
        put(tx, "first")
        with pytest.raises(Transient) as refused, impatient.transaction():
            pytest.fail("two transactions wrote at once")
        assert refused.value.code == "DATABASE_BUSY"
        assert settings(impatient) == set(), "readers go on while another writes"
    with impatient.transaction() as tx:
        put(tx, "second")
    assert settings(store) == {"first", "second"}
    impatient.close()


def test_nobody_waits_longer_because_others_of_the_process_wait_too(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads behind another process: each gives up when it waited as long as one may, none as long as all."""
    monkeypatch.setattr(db, "_BUSY_SECONDS", 0.5)
    shared = Store.open(path)

    def waited() -> float:
        began = time.monotonic()
        with pytest.raises(Transient, match="stayed busy"), shared.transaction():
            pytest.fail("two transactions wrote at once")
        return time.monotonic() - began

    with store.transaction(), ThreadPoolExecutor(20) as threads:
        times = [each.result() for each in [threads.submit(waited) for _ in range(20)]]
    assert max(times) < 20 * 0.5
    shared.close()


def test_a_full_disk_is_a_transient_failure(store: Store) -> None:
    with store.reading() as tx:
        pages = tx.rows("PRAGMA page_count")[0]["page_count"]
    with store.transaction() as tx:
        tx.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Transient) as refused, store.transaction() as tx:
        tx.execute("INSERT INTO setting VALUES ('large', ?)", ("x" * 1_000_000,))
    assert refused.value.code == "DISK_FULL"
    assert settings(store) == set()


def test_what_ends_a_view_of_the_data_is_what_is_raised(store: Store) -> None:
    with pytest.raises(Transient, match="gone"), store.reading() as tx:
        tx.execute("ROLLBACK")  # as SQLite does by itself when reading fails
        raise Transient("DATABASE_UNWRITABLE", "the disk is gone")


def test_a_mistake_in_sql_is_not_mistaken_for_bad_luck(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError), store.transaction() as tx:
        tx.execute("SELEC 1")


def _open(path: Path, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    Store.open(path).close()


def test_processes_that_start_together_make_one_schema(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    processes = [context.Process(target=_open, args=(path, start)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]


def test_a_sound_database_is_looked_at_and_left_alone(store: Store, path: Path) -> None:
    with store.transaction() as tx:
        put(tx, "kept")
    store.close()
    before = path.read_bytes()
    assert examine(path, 60)
    assert path.read_bytes() == before


def test_a_damaged_database_is_said_and_left_alone(store: Store, path: Path) -> None:
    store.close()
    content = bytearray(path.read_bytes())
    content[2 * 4096 : 2 * 4096 + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(Permanent, match=r"is damaged .* put a backup in its place") as refused:
        examine(path, 60)
    assert refused.value.code == "DATABASE_DAMAGED"
    assert path.read_bytes() == content


def test_damage_that_is_met_while_reading_is_no_fault_of_ours(store: Store, path: Path) -> None:
    with store.transaction() as tx:
        (page,) = (row["rootpage"] for row in tx.rows("SELECT rootpage FROM sqlite_master WHERE name = 'setting'"))
    store.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\x55" * 4096)
    again = Store.open(path)
    for use in (again.reading, again.transaction):
        with pytest.raises(Permanent, match="stop the node, copy it away") as refused, use() as tx:
            tx.rows("SELECT value FROM setting")
        assert refused.value.code == "DATABASE_DAMAGED"
    again.close()


def test_sentences_of_an_earlier_release_stay_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "node.sqlite"
    earlier = Database(path)
    migrations.apply(earlier, stop_before="m007_messages")
    earlier.execute(
        "INSERT INTO instance (sop_instance_uid, study_instance_uid, digest, state, path, size, transfer_syntax, "
        "calling_ae_title, received_at, header, refusal_code, refusal_reason) "
        "VALUES ('1.2', '1.3', 'd', 'current', 'films/d', 1, '1.2.840.10008.1.2', 'CR1', 0, ?, 'VIEW', 'a lateral')",
        (json.dumps({"sop_class_uid": "1", "sop_instance_uid": "1.2", "study_instance_uid": "1.3",
                     "series_instance_uid": "1.4"}),),
    )  # fmt: skip
    earlier.conn.commit()
    earlier.close()
    store = Store.open(path)
    with store.reading() as tx:
        found = studies.by_digest(tx, "d")
    store.close()
    assert found is not None
    assert found.refusal == Refusal("VIEW", "a lateral")


def test_a_message_is_one_again_unless_somebody_wrote_another_text() -> None:
    why = Message("Every pixel of the film has the value {value}.", value=3)
    kept = keep(why)
    read = told(str(why), kept)
    assert isinstance(read, Message)
    assert (read, read.values) == (why, {"value": 3})
    assert not isinstance(told("by an earlier release", kept), Message)
    assert (keep("no message"), told(None, None), told(None, kept)) == (None, None, None)


def test_an_event_keeps_its_messages_under_its_seal(store: Store) -> None:
    why = Message("the study is held")
    with store.transaction() as tx:
        events.append(tx, 1.0, "study.not_reported", "1.2.3", reason=why, code="HELD")
    with store.reading() as tx:
        (found,) = events.of_study(tx, "1.2.3")
        (row,) = tx.rows("SELECT detail FROM event")
    assert found == {"time": 1.0, "event": "study.not_reported", "reason": "the study is held", "code": "HELD"}
    assert isinstance(found["reason"], Message)
    assert json.loads(row["detail"])["messages"] == {"reason": ["the study is held", {}]}


def test_nothing_is_written_that_is_not_this_node_s_to_write(path: Path) -> None:
    """As of a node that another one has succeeded."""
    allowed = True

    def guard() -> None:
        if not allowed:
            raise Transient("LEASE_UNREADABLE", "who works cannot be read")

    def write(tx: Tx) -> None:
        events.append(tx, 0.0, "node.started", None)

    store = Store.open(path, guard=guard)
    with store.transaction() as tx:
        write(tx)
    allowed = False
    with pytest.raises(Transient, match="who works"), store.transaction() as tx:
        write(tx)
    with pytest.raises(Transient, match="who works"):
        store.together(write)
    with pytest.raises(Transient, match="who works"):
        store.tidy()
    with store.reading() as tx:
        assert len(tx.rows("SELECT * FROM event")) == 1
    allowed = True
    store.together(write)
    with store.reading() as tx:
        assert len(tx.rows("SELECT * FROM event")) == 2
    store.close()
