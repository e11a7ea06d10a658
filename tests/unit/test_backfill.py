"""Films of before: behind what comes by itself, in shadow, once, and on again from where it ended."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxr_node import cli, keys
from cxr_node.backfill.run import Backfill, Skipped, Tally
from cxr_node.backfill.sources import Days, Door, Folder
from cxr_node.backfill.table import FOLDER, Row, Table
from cxr_node.backfilling import days_of, source_of
from cxr_node.config import Config
from cxr_node.domain.job import NewJob
from cxr_node.errors import CxrNodeError, Permanent, Transient
from cxr_node.store import jobs, priors
from tests import films
from tests.bench import NOON, Bench


@dataclass
class Time:
    """A clock that only sleep moves."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path / "var")
    keys.pseudonyms(made.root, create=True)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two films of one study, one of another, a leg's computed tomography that is none, and a text."""
    path = tmp_path / "films"
    path.mkdir()
    one, two, other = films.chest(1), films.chest(2), films.chest(3)
    two.StudyInstanceUID = one.StudyInstanceUID
    for number, film in enumerate((one, two, other)):
        film.save_as(path / f"{number}.dcm", enforce_file_format=True)
    ct = films.chest(4)
    ct.Modality = "CT"
    ct.save_as(path / "ct.dcm", enforce_file_format=True)
    (path / "notes.txt").write_text("no film " * 100)
    return path


def a_folder(bench: Bench, path: Path) -> Folder:
    return Folder(path, Door(bench.spool.incoming, bench.intake, frozenset({"CR", "DX"})))


def a_run(bench: Bench, clock: Time | None = None, **more: object) -> Backfill:
    moved = clock or Time()
    known: dict[str, object] = {
        "per_minute": 6000.0, "reported": False, "room": lambda: True,
        "monotonic": moved.monotonic, "sleep": moved.sleep,
    }  # fmt: skip
    return Backfill(bench.store, **(known | more))  # type: ignore[arg-type]


def test_films_are_taken_in_and_what_is_none_is_left_out(bench: Bench, folder: Path) -> None:
    tally = a_run(bench).run(a_folder(bench, folder))
    assert (tally.films, tally.done, tally.skipped, tally.failed) == (3, 3, 2, 0)
    rows = bench.rows("SELECT item, state, reason FROM backfill ORDER BY item")
    assert [(row["item"], row["state"]) for row in rows] == [
        ("0.dcm", "done"), ("1.dcm", "done"), ("2.dcm", "done"), ("ct.dcm", "skipped"), ("notes.txt", "skipped"),
    ]  # fmt: skip
    assert {row["reason"] for row in rows if row["state"] == "skipped"} == {
        "it is no radiograph", "it is no DICOM file (PS3.10)",
    }  # fmt: skip
    assert list(bench.spool.incoming.iterdir()) == []
    assert len(bench.rows("SELECT * FROM instance")) == 3
    assert {path.name for path in folder.iterdir()} == {"0.dcm", "1.dcm", "2.dcm", "ct.dcm", "notes.txt"}


def test_priors_are_read_already_and_judged_behind_what_comes_by_itself(bench: Bench, folder: Path) -> None:
    a_run(bench).run(a_folder(bench, folder))
    assert {row["state"] for row in bench.rows("SELECT state FROM worklist_entry")} == {"read"}
    bench.send(films.chest(9))
    with bench.store.transaction() as tx:
        (first,) = jobs.claim(tx, "analyse", "w", bench.clock() + 1, 60, limit=1)
    newest = bench.rows("SELECT digest FROM instance ORDER BY id DESC LIMIT 1")
    assert first.subject == newest[0]["digest"]


def test_begun_again_it_goes_on_where_it_was(bench: Bench, folder: Path) -> None:
    run = a_run(bench)
    assert run.run(a_folder(bench, folder), limit=2).films == 2
    assert run.run(a_folder(bench, folder)).films == 1
    again = run.run(a_folder(bench, folder))
    assert (again.films, again.done, again.skipped, again.failed) == (0, 0, 0, 0)


def test_a_study_that_came_by_itself_is_left_alone(bench: Bench, folder: Path) -> None:
    film = films.chest(1)
    bench.send(film)
    tally = a_run(bench).run(a_folder(bench, folder))
    assert tally.films == 1
    states = {row["study_instance_uid"]: row["state"] for row in bench.rows("SELECT * FROM worklist_entry")}
    assert states[str(film.StudyInstanceUID)] == "waiting"


def test_a_new_film_of_such_a_study_makes_it_one_as_any_other(bench: Bench, folder: Path) -> None:
    a_run(bench).run(a_folder(bench, folder))
    study = str(films.chest(1).StudyInstanceUID)
    with bench.store.reading() as tx:
        assert priors.silent(tx, study)
    late = films.chest(8)
    late.StudyInstanceUID = study
    bench.send(late)
    with bench.store.reading() as tx:
        assert not priors.marked(tx, study)
    (entry,) = bench.rows("SELECT state FROM worklist_entry WHERE study_instance_uid = ?", study)
    assert entry["state"] == "waiting"


def test_with_report_they_get_documents(bench: Bench, folder: Path) -> None:
    a_run(bench, reported=True).run(a_folder(bench, folder))
    with bench.store.reading() as tx:
        assert priors.marked(tx, str(films.chest(1).StudyInstanceUID))
        assert not priors.silent(tx, str(films.chest(1).StudyInstanceUID))


def test_so_many_films_a_minute(bench: Bench, folder: Path) -> None:
    clock = Time()
    a_run(bench, clock, per_minute=2.0).run(a_folder(bench, folder))
    assert sum(clock.slept) == pytest.approx(90.0), "three films, the first at once"


def test_while_many_films_wait_no_more_are_fetched(bench: Bench, folder: Path) -> None:
    with bench.store.transaction() as tx:
        jobs.enqueue(tx, [NewJob("analyse", str(number), "m") for number in range(60)], NOON)
    clock = Time()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        with bench.store.transaction() as tx:
            tx.execute("DELETE FROM job WHERE id = (SELECT min(id) FROM job WHERE kind = 'analyse')")

    a_run(bench, clock, sleep=sleep).run(a_folder(bench, folder))
    assert clock.slept.count(1.0) >= 10


def test_without_room_it_ends(bench: Bench, folder: Path) -> None:
    with pytest.raises(Permanent) as refused:
        a_run(bench, room=lambda: False).run(a_folder(bench, folder))
    assert refused.value.code == "DISK_WATERMARK"


@dataclass
class Flaky:
    """A source whose fetches fail as they are told to."""

    failures: dict[str, list[Exception]]
    fetched: list[str] = field(default_factory=list)
    name: str = "flaky"

    def items(self) -> Iterator[str]:
        yield from sorted(self.failures)

    def study_of(self, item: str) -> str:
        return item

    def fetch(self, item: str) -> int:
        self.fetched.append(item)
        if self.failures[item]:
            raise self.failures[item].pop(0)
        return 1


def away() -> Transient:
    return Transient("UNREACHABLE", "it is away")


def test_what_fails_is_tried_again_then_told_and_the_rest_goes_on(bench: Bench) -> None:
    clock, shown = Time(), list[int]()
    source = Flaky(
        {
            "1.1": [away()],
            "1.2": [away(), away(), away()],
            "1.3": [Permanent("X", "no")],
            "1.4": [Skipped("x")],
            "1.5": [],
        }
    )
    tally = a_run(bench, clock, progress=lambda so_far: shown.append(so_far.done)).run(source)
    assert (tally.films, tally.done, tally.skipped, tally.failed) == (2, 2, 1, 2)
    assert source.fetched.count("1.2") == 3
    assert [seconds for seconds in clock.slept if seconds in (2.0, 4.0)] == [2.0, 2.0, 4.0]
    assert tally.failures == ["UNREACHABLE: it is away", "X: no"]
    assert shown == [1, 1, 1, 1, 2]
    again = a_run(bench).run(source)
    assert (again.done, again.failed) == (2, 0), "what failed is tried again, what is done is not"
    assert bench.events()[-1] == "backfill.ended"
    assert {row["expected"] for row in bench.rows("SELECT expected FROM prior")} == {0}


def test_days() -> None:
    today = date(2026, 3, 1)
    assert days_of(None, None, today) == Days(date(2025, 2, 28), date(2026, 2, 28))
    assert list(Days(date(2026, 2, 27), date(2026, 3, 1)).each()) == [
        date(2026, 3, 1),
        date(2026, 2, 28),
        date(2026, 2, 27),
    ]
    with pytest.raises(CxrNodeError, match="lies after"):
        days_of(date(2026, 3, 2), None, today)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nowhere", "is no folder"),
        ("dicom://pacs:104", "write it as dicom://AE_TITLE@HOST:PORT"),
        ("dicom://PACS@10.1.2.3:104", "no node is running here"),
    ],
)
def test_a_source_that_cannot_be_used_is_said(bench: Bench, named: str, said: str) -> None:
    config = Config.model_validate({"node": {"data_dir": bench.root}, "receive": {"port": 1}})
    with pytest.raises(CxrNodeError, match=said) as refused:
        source_of(config, bench.store, named, Days(date(2026, 1, 1), date(2026, 1, 2)))
    assert refused.value.code == "SOURCE"


def test_the_command(bench: Bench, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(f'[node]\ndata_dir = "{bench.root}"\n[retention]\nwatermark_gigabytes = 0\n')
    run = CliRunner().invoke(cli.main, ["backfill", str(folder), "--per-minute", "6000", "-c", str(file)])
    assert run.exit_code == 0, run.output
    assert "3 films taken in; 3 done, 2 left out, 0 failed" in run.output
    shutil.rmtree(folder)
    assert "SOURCE" in CliRunner().invoke(cli.main, ["backfill", str(folder), "-c", str(file)]).output


def test_the_command_takes_only_what_a_table_calls_positive(bench: Bench, folder: Path, tmp_path: Path) -> None:
    file, results = tmp_path / "node.toml", tmp_path / "results"
    file.write_text(f'[node]\ndata_dir = "{bench.root}"\n[retention]\nwatermark_gigabytes = 0\n')
    rows = [
        Row(
            source=f"{number}.dcm", sha256="a", sop_instance_uid="1.1", study_instance_uid=f"1.3.{number}",
            series_instance_uid="1.2", state="analysed", positive=number == 1, model="m", version="1",
            model_digest="d", gate=None, seconds=0.1,
        )
        for number in range(3)
    ]  # fmt: skip
    Table(results / FOLDER).add(rows, 1)
    asked = ["backfill", str(folder), "--positive-in", str(results), "--per-minute", "6000", "-c", str(file)]
    run = CliRunner().invoke(cli.main, asked)
    assert run.exit_code == 0, run.output
    assert "1 films taken in; 1 done, 0 left out, 0 failed" in run.output
    assert [entry["item"] for entry in bench.rows("SELECT item FROM backfill")] == ["1.dcm"]


def test_a_tally_begins_at_nothing() -> None:
    assert Tally() == Tally(0, 0, 0, 0, [])
