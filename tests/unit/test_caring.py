"""Files given up when their time is over and not before, copies kept, and X-ray machines that fall silent."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cxr_node import caring
from cxr_node.config import Config
from cxr_node.domain.job import JobState, NewJob
from cxr_node.reconcile import reconcile
from cxr_node.store import db, events, jobs, messages, results, settings, studies
from cxr_node.store.machines import WEEK, known
from cxr_node.store.results import Written
from tests import films
from tests.bench import NOON, Bench, add_film, digest, study_uid

DAY = 86400.0


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "node")


def config(bench: Bench, **retention: object) -> Config:
    return Config.model_validate({"node": {"data_dir": bench.root}, "retention": retention})


def add_study(bench: Bench, number: int, *, at: float = NOON, size: int = 1000) -> Path:
    """A study that was read, with one film of so many bytes and a report that has left; the film's path."""
    with bench.store.transaction() as tx:
        add_film(tx, number, at=at)
        tx.execute("UPDATE instance SET size = ? WHERE digest = ?", (size, digest(number)))
        tx.execute(
            "INSERT INTO worklist_entry (study_instance_uid, state, tier, received_at) VALUES (?, 'read', 'none', ?)",
            (study_uid(number), at),
        )
        uid = f"1.2.9.{number}"
        results.add_document(
            tx, Written(uid, study_uid(number), 1, "full", "sr", "1.2.840.1", "1.2.8", f"outbox/{uid}.dcm"), at
        )
        results.add_delivery(tx, uid, "pacs")
        results.delivered(tx, uid, "pacs", at, 0)
    film = bench.root / f"films/{number}.dcm"
    for path in (film, bench.root / f"outbox/{uid}.dcm", bench.spool.picture(digest(number))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return film


def retain(bench: Bench, now: float, **retention: object) -> int:
    return caring.retain(config(bench, **retention), bench.store, bench.spool, now)


def test_without_limits_everything_stays(bench: Bench) -> None:
    film = add_study(bench, 1)
    assert retain(bench, NOON + 5000 * DAY) == 0
    assert film.exists()


def test_what_is_old_and_final_goes_and_its_record_stays(bench: Bench) -> None:
    old, young = add_study(bench, 1), add_study(bench, 2, at=NOON + 50 * DAY)
    with capture_logs() as logs:
        assert retain(bench, NOON + 61 * DAY, days=60) == 1
    assert (old.exists(), young.exists()) == (False, True)
    assert not bench.spool.picture(digest(1)).exists()
    assert (bench.root / "outbox/1.2.9.1.dcm").exists()
    (event,) = bench.rows("SELECT * FROM event WHERE event = 'study.purged'")
    assert event["study_instance_uid"] == study_uid(1)
    assert bench.rows("SELECT count(*) AS n FROM instance") == [{"n": 2}]
    (told,) = [entry for entry in logs if entry["event"] == "retention.done"]
    assert (told["studies"], told["films_bytes"]) == (1, 1000)
    assert retain(bench, NOON + 61 * DAY, days=60) == 0, "it goes once"


def test_documents_go_too_where_nothing_is_to_stay(bench: Bench) -> None:
    add_study(bench, 1)
    retain(bench, NOON + 61 * DAY, days=60, keep="nothing")
    assert not (bench.root / "outbox/1.2.9.1.dcm").exists()


def undelivered(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        results.add_delivery(tx, "1.2.9.1", "backup")


def uncommitted(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("commit", "1.2.9.1", "pacs")], NOON)


def failed(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("shadow", digest(1), "m")], NOON)
        (job,) = jobs.claim(tx, "shadow", "w", NOON, 60)
        jobs.finish(tx, job, JobState.FAILED, NOON, error_code="X", error="x")


def unsettled(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("settle", study_uid(1))], NOON)


def untold(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.execute(
            "INSERT INTO message (control_id, destination, study_instance_uid, kind, about, content, written_at) "
            "VALUES ('C1', 'ris', ?, 'ORU', '1', x'00', ?)",
            (study_uid(1), NOON),
        )
        jobs.enqueue(tx, [NewJob("transmit", "C1", "ris")], NOON)


def disputed(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.execute("UPDATE instance SET state = 'quarantined' WHERE digest = ?", (digest(1),))


def unread(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.execute("UPDATE worklist_entry SET state = 'analysed'")


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (undelivered, "kept_for_delivery"),
        (uncommitted, "kept_for_work"),
        (failed, "kept_for_work"),
        (unsettled, "kept_for_work"),
        (untold, "kept_for_work"),
        (disputed, "kept_for_work"),
        (unread, "kept_unread"),
    ],
)
@pytest.mark.parametrize("limits", [{"days": 60}, {"max_gigabytes": 0.0000001}])
def test_what_is_not_final_keeps_everything(
    bench: Bench, trouble: Callable[[Bench], None], why: str, limits: dict[str, Any]
) -> None:
    film = add_study(bench, 1)
    trouble(bench)
    with capture_logs() as logs:
        assert retain(bench, NOON + 5000 * DAY, **limits) == 0
    assert film.exists()
    (told,) = [entry for entry in logs if entry["event"] == "retention.done"]
    assert told[why] == 1
    with bench.store.reading() as tx:
        assert sum(settings.get(tx, caring.RETAINED, {})["stay"].values()) == 1


def test_beyond_a_size_the_oldest_go_first_and_no_more_than_needed(bench: Bench) -> None:
    paths = [add_study(bench, number, at=NOON + number, size=400_000_000) for number in (1, 2, 3, 4)]
    assert retain(bench, NOON + DAY, max_gigabytes=1.0) == 2
    assert [path.exists() for path in paths] == [False, False, True, True]


def test_a_study_counts_from_its_last_film(bench: Bench) -> None:
    add_study(bench, 1)
    with bench.store.transaction() as tx:
        add_film(tx, 2, study=1, at=NOON + 50 * DAY)
    assert retain(bench, NOON + 61 * DAY, days=60) == 0


def test_a_fall_between_writing_and_removing_is_made_good(bench: Bench) -> None:
    """The row says that the file went, and it is there still: the next reconciliation removes it."""
    bench.send(films.chest())
    (row,) = bench.rows("SELECT digest, path FROM instance")
    with bench.store.transaction() as tx:
        tx.execute("UPDATE instance SET purged_at = ?", (NOON,))
    with capture_logs() as logs:
        reconcile(bench.store, bench.spool, bench.intake, 1e12)
    assert not bench.spool.path(row["path"]).exists()
    assert [entry["event"] for entry in logs if entry["event"].startswith("spool.")] == []


def test_a_film_that_comes_again_is_taken_back(bench: Bench) -> None:
    film = films.chest()
    bench.send(film)
    (row,) = bench.rows("SELECT digest, path FROM instance")
    bench.spool.path(row["path"]).unlink()
    with bench.store.transaction() as tx:
        tx.execute("UPDATE instance SET purged_at = ?", (NOON,))
    bench.send(film)
    assert bench.spool.path(row["path"]).is_file()
    with bench.store.reading() as tx:
        assert studies.digests(tx, row["digest"][:2]) == {row["digest"]: True}


# -- copies


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("cxr-node-*.sqlite"))


def test_copies_are_made_when_due_and_the_newest_stay(bench: Bench) -> None:
    settings_of = Config.model_validate({"node": {"data_dir": bench.root}, "backup": {"hours": 24, "keep": 2}})
    for hours in (0, 1, 25, 26, 50):
        caring.back_up_if_due(settings_of, bench.store, NOON + hours * 3600)
    assert copies(bench.root / "backups") == ["cxr-node-20260102T130000Z.sqlite", "cxr-node-20260103T140000Z.sqlite"]
    for name in copies(bench.root / "backups"):
        assert db.examine(bench.root / "backups" / name, 20)


def test_zero_hours_are_never(bench: Bench) -> None:
    caring.back_up_if_due(
        Config.model_validate({"node": {"data_dir": bench.root}, "backup": {"hours": 0}}), bench.store, NOON
    )
    assert copies(bench.root / "backups") == []


def test_a_copy_that_cannot_be_made_is_told(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "full").write_text("no folder")
    with capture_logs() as logs:
        made = caring.back_up(
            Config.model_validate({"node": {"data_dir": bench.root}, "backup": {"folder": tmp_path / "full"}}),
            bench.store,
            NOON,
        )
    assert made is None
    assert [(entry["event"], entry["code"]) for entry in logs] == [("backup.failed", "BACKUP")]
    with bench.store.reading() as tx:
        latest = events.latest(tx, "backup.")
    assert latest is not None
    assert latest["event"] == "backup.failed"


# -- silence


def films_of_a_room(bench: Bench, weeks: float, per_day: int = 20, room: str = "ROOM1", start: float = NOON) -> float:
    """Films at even distances, for so many weeks; when the last one came."""
    count = round(weeks * 7 * per_day)
    with bench.store.transaction() as tx:
        for number in range(count):
            at = start + number * DAY / per_day
            add_film(tx, number + hash_of(room), at=at, station_name=room)
    return at


def hash_of(room: str) -> int:
    return int(room.removeprefix("ROOM")) * 1_000_000


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    with capture_logs() as logs:
        yield logs


def test_a_machine_that_sends_on_is_not_silent(bench: Bench, told: list[dict[str, Any]]) -> None:
    last = films_of_a_room(bench, 5)
    assert caring.listen_for_silence(bench.store, last + 3600) == []
    assert told == []


def test_silence_is_told_once_and_so_is_its_end(bench: Bench, told: list[dict[str, Any]]) -> None:
    last = films_of_a_room(bench, 5)
    (found,) = caring.listen_for_silence(bench.store, last + 10 * 3600)
    assert found.name == "ROOM1"
    assert found.expected == pytest.approx(8, abs=0.5)
    caring.listen_for_silence(bench.store, last + 11 * 3600)
    assert [(entry["event"], entry["machine"], entry["hours"]) for entry in told] == [("machine.silent", "ROOM1", 10.0)]
    with bench.store.transaction() as tx:
        add_film(tx, 99, at=last + 12 * 3600, station_name="ROOM1")
    assert caring.listen_for_silence(bench.store, last + 12 * 3600 + 60) == []
    assert [entry["event"] for entry in told] == ["machine.silent", "machine.heard"]
    assert [event for event in bench.events() if event.startswith("machine.")] == ["machine.silent", "machine.heard"]


def test_a_room_that_is_closed_every_night_is_not_missed_then(bench: Bench) -> None:
    """Ten films from 8 to 18 h on each day: at 7 h in the morning nothing was to come, at 16 h eight were."""
    with bench.store.transaction() as tx:
        for day in range(35):
            for hour in range(10):
                at = NOON - 4 * 3600 + day * DAY + hour * 3600
                add_film(tx, day * 100 + hour, at=at, station_name="ROOM1")
    morning = NOON - 5 * 3600 + 35 * DAY
    assert caring.listen_for_silence(bench.store, morning) == []
    assert [one.name for one in caring.listen_for_silence(bench.store, morning + 9 * 3600)] == ["ROOM1"]


def test_a_machine_that_is_new_is_not_judged(bench: Bench) -> None:
    last = films_of_a_room(bench, 0.9)
    with bench.store.reading() as tx:
        (one,) = known(tx, last + 12 * 3600)
    assert one.expected is None


def test_a_machine_is_silent_for_weeks_and_then_forgotten(bench: Bench) -> None:
    last = films_of_a_room(bench, 5)
    (found,) = caring.listen_for_silence(bench.store, last + 2 * WEEK)
    assert found.expected == pytest.approx(2 * 7 * 20, rel=0.05)
    assert caring.listen_for_silence(bench.store, last + 6 * WEEK) == []


def test_machines_are_told_apart(bench: Bench) -> None:
    last = films_of_a_room(bench, 5)
    films_of_a_room(bench, 5.2, room="ROOM2")
    assert [one.name for one in caring.listen_for_silence(bench.store, last + DAY)] == ["ROOM1"]


def test_messages_module_is_the_one_that_holds_the_queue(bench: Bench) -> None:
    """What keeps a study for HL7 is counted as pending by who sends: the two must not drift apart."""
    add_study(bench, 1)
    untold(bench)
    with bench.store.reading() as tx:
        assert messages.pending_by_destination(tx) == {"ris": 1}
