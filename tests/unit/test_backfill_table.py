"""Films of years into a table: what is in it is done, whole, once; and what its manifest says."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cxr_node import lock, tabulating
from cxr_node.backfill.bulk import Bulk, Progress
from cxr_node.backfill.places import Files, Instances, Objects
from cxr_node.backfill.record import MANIFEST, Manifest
from cxr_node.backfill.sources import Days
from cxr_node.backfill.table import FOLDER, SCHEMA, Row, Table, packed, positives, unpacked
from cxr_node.commands.backfill import said
from cxr_node.config import Config
from cxr_node.errors import CxrNodeError, Permanent, Transient

DAYS = Days(date(2026, 1, 1), date(2026, 1, 2))
OF = {"source": "folder /films", "model": {"name": "m", "digest": "d"}}


def row(name: str, **known: object) -> Row:
    plain = Row(
        source=name, sha256="a" * 64, sop_instance_uid="1.2", study_instance_uid="1.3", series_instance_uid="1.4",
        state="analysed", model="m", version="1", model_digest="d", gate=None, seconds=0.5,
    )  # fmt: skip
    return replace(plain, **known)  # type: ignore[arg-type]


@dataclass
class Shelf:
    """A place whose films are names; judged two at a time, up to `dies`, where it is killed. `asked` is what was."""

    names: Sequence[str]
    dies: int | None = None
    state: str = "analysed"
    asked: list[str] = field(default_factory=list)
    name: str = "shelf"

    def films(self) -> Iterator[str]:
        yield from self.names

    def local(self, film: str) -> Path:  # type: ignore[override]
        raise AssertionError(film)

    def judged(self, names: Sequence[str]) -> Iterator[list[Row]]:
        for start in range(0, len(names), 2):
            if self.dies is not None and len(self.asked) >= self.dies:
                raise KeyboardInterrupt
            some = list(names[start : start + 2])
            self.asked += some
            code = None if self.state == "analysed" else "CODE"
            yield [row(name, state=self.state, code=code) for name in some]

    def into(self, folder: Path, limit: int | None = None) -> Progress:
        return Bulk(self, Manifest.opened(folder, OF), self.judged, clock=lambda: 0.0).run(limit)  # type: ignore[arg-type]


def named(folder: Path) -> list[str]:
    return sorted(pq.read_table(folder / FOLDER)["source"].to_pylist())


NAMES = [f"{number}.dcm" for number in range(9)]


def test_a_run_that_ended_early_is_gone_on_with_and_each_film_is_there_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Shelf(NAMES, dies=4).into(tmp_path)
    assert named(tmp_path) == NAMES[:4]
    shelf = Shelf(NAMES)
    progress = shelf.into(tmp_path)
    assert shelf.asked == NAMES[4:]
    assert (progress.found, progress.before, progress.todo, progress.done) == (9, 4, 5, 5)
    assert named(tmp_path) == NAMES
    told = json.loads((tmp_path / MANIFEST).read_text())
    assert told["counts"] == {"found": 9, "analysed": 9, "not_analysed": {}, "set_aside": {}, "left": 0}
    assert [(run["ended"] is None, run["done"]) for run in told["runs"]] == [(True, None), (False, 5)]
    assert pq.read_table(tmp_path / FOLDER)["run"].to_pylist().count(1) == 4
    again = Shelf(NAMES)
    assert again.into(tmp_path).todo == 0
    assert again.asked == []


def test_what_was_written_half_is_never_read(tmp_path: Path) -> None:
    Shelf(NAMES[:2]).into(tmp_path)
    half = tmp_path / FOLDER / ".part-000002.parquet.half"
    half.write_bytes(b"PAR1")
    assert named(tmp_path) == NAMES[:2], "nor by those who read the table"
    Shelf(NAMES).into(tmp_path)
    assert named(tmp_path) == NAMES
    assert not half.exists()


def test_a_film_that_is_given_twice_stands_there_once(tmp_path: Path) -> None:
    table = Table(tmp_path)
    assert table.add([row("1"), row("1"), row("2")], 1) == 2
    assert table.add([row("2"), row("3")], 1) == 1
    assert Table(tmp_path).done == {"1", "2", "3"}


def test_studies_with_a_positive_film_are_known_with_all_films_that_they_have(tmp_path: Path) -> None:
    found = [
        row("a", study_instance_uid="1.1", positive=False),
        row("b", study_instance_uid="1.2", positive=True),
        row("c", study_instance_uid="1.2", state="not_analysed", code="LATERAL"),
        row("d", study_instance_uid=None, state="set_aside", code="UNPARSEABLE"),
    ]
    table = Table(tmp_path)
    table.add(found[2:], 1)
    table.add(found[:2], 2)
    assert positives(tmp_path) == {"1.2", "b", "c"}


def test_no_table_is_no_table_without_positives(tmp_path: Path) -> None:
    with pytest.raises(Permanent) as refused:
        positives(tmp_path / "elsewhere")
    assert refused.value.code == "TABLE"


def test_what_the_machine_failed_at_is_tried_again_and_what_a_film_failed_at_is_not(tmp_path: Path) -> None:
    left = Shelf(NAMES[:2], state="left").into(tmp_path)
    assert (left.left, dict(left.codes)) == (2, {"CODE": 2})
    told = json.loads((tmp_path / MANIFEST).read_text())["counts"]
    assert (told["left"], told["analysed"]) == (2, 0)
    assert Shelf(NAMES[:2], state="set_aside").into(tmp_path).set_aside == 2
    assert json.loads((tmp_path / MANIFEST).read_text())["counts"]["set_aside"] == {"CODE": 2}
    assert Shelf(NAMES[:2]).into(tmp_path).todo == 0


def test_a_run_ends_after_as_many_films_as_were_wanted(tmp_path: Path) -> None:
    assert Shelf(NAMES).into(tmp_path, 3).todo == 3
    assert Shelf(NAMES).into(tmp_path, 3).done == 3
    assert named(tmp_path) == NAMES[:6]


def test_results_of_something_else_are_not_mixed_in(tmp_path: Path) -> None:
    Shelf(NAMES[:2]).into(tmp_path)
    with pytest.raises(Permanent, match="results of another model: give another folder"):
        Manifest.opened(tmp_path, OF | {"model": {"name": "m", "digest": "e"}})
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(Permanent, match="no manifest of results"):
        Manifest.opened(tmp_path, OF)
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(Permanent, match="has results and no manifest"):
        Manifest.opened(tmp_path, OF)


def test_a_damaged_file_of_the_table_is_told(tmp_path: Path) -> None:
    Table(tmp_path).add([row("1")], 1)
    (tmp_path / "part-000001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(Permanent, match="is damaged: remove it") as told:
        Table(tmp_path)
    assert told.value.code == "TABLE"


def test_a_row_is_read_as_it_was_written_and_names_no_patient() -> None:
    full = row("1", flags=["inverted"], finding="pneumonia", probability=0.25, positive=False, severity="none",
               probabilities={"normal": 0.75, "pneumonia": 0.25})  # fmt: skip
    rows = [full, row("2", state="set_aside", code="TRUNCATED", reason="it ends")]
    assert unpacked(packed(rows)) == rows
    assert {*SCHEMA.names} == {*asdict(full), "run"}
    assert not [name for name in SCHEMA.names if "patient" in name]


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(100, 20, 80, 20, seconds=10.0), "40 of 100 films, 2.0 films/s, 1 min left; 0 set aside"),
        (
            Progress(10**6, 0, 10**6, 100, 3, 1, 10.0),
            "100 of 1000000 films, 10.0 films/s, 27 h 47 min left; 3 set aside, 1 l",
        ),
        (Progress(100, 20, 80, 80, seconds=10.0), "100 of 100 films, 8.0 films/s; 0 set aside"),
        (Progress(100, 20, 10, 10, seconds=10.0), "30 of 100 films, 1.0 films/s; 0 set aside"),
        (Progress(100, 100, 0), "100 of 100 films, 0.0 films/s; 0 set aside"),
    ],
)
def test_how_far_it_is(progress: Progress, text: str) -> None:
    assert said(progress).startswith(text)


def test_the_start_of_workers_is_no_part_of_the_rate(tmp_path: Path) -> None:
    told: list[tuple[int, float, float | None]] = []
    clock = iter([0.0, 100.0, 101.0, 102.0, 103.0, 104.0])

    def progress(now: Progress) -> None:
        told.append((now.done, now.rate, now.eta))

    shelf = Shelf(NAMES[:8])
    Bulk(shelf, Manifest.opened(tmp_path, OF), shelf.judged, progress, monotonic=lambda: next(clock)).run()  # type: ignore[arg-type]
    assert told == [(2, 0.0, None), (4, 4.0, 1.0), (6, 3.0, pytest.approx(2 / 3)), (8, pytest.approx(8 / 3), 0.0)]


def test_two_do_not_write_one_table(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    out, place = tmp_path / "out", Files(tmp_path / "films")
    out.mkdir()
    held = lock.hold(out / lock.LOCK)
    assert held is not None
    work = tabulating.work_of(Config())
    run = lambda where: tabulating.tabulate(  # noqa: E731
        place, work, where, Shelf([]).judged, limit=None, progress=lambda _: None
    )
    with pytest.raises(CxrNodeError, match="another backfill is writing"):
        run(out)
    os.close(held)
    assert run(out).found == 0
    assert run(tmp_path / "other").found == 0
    assert (tmp_path / "other").stat().st_mode & 0o077 == 0, "for its owner alone"
    told = json.loads((out / MANIFEST).read_text())
    assert told["model"]["digest"] == work.model.digest
    assert told["rules"]["modalities"] == ["CR", "DX"]
    with pytest.raises(CxrNodeError, match="lies in the source"):
        run(tmp_path / "films" / "out")


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ("s3://key:secret@archive/films?region=eu-west-1", "objects s3://archive/films?region=eu-west-1"),
        ("https://pacs.example.org/dicom-web", "dicomweb https://pacs.example.org/dicom-web"),
    ],
)
def test_a_source_is_known_without_its_login(named: str, place: str) -> None:
    found = tabulating.place_of(Config(), named, DAYS)
    assert found.name == place
    assert "secret" not in repr(found)


@pytest.mark.parametrize("named", ["dicom://PACS@10.1.2.3:104", "nowhere"])
def test_what_is_no_source_of_a_table_is_told(named: str) -> None:
    with pytest.raises(CxrNodeError) as told:
        tabulating.place_of(Config(), named, DAYS)
    assert told.value.code == "SOURCE"


def test_films_of_a_folder_and_of_an_object_store(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.dcm", "1.dcm"):
        (tmp_path / name).write_text(name)
    for place in (Files(tmp_path), Objects(f"file://{tmp_path}", "shown")):
        assert list(place.films()) == ["1.dcm", "b/2.dcm"]
        with place.local("b/2.dcm") as path:
            assert path.read_text() == "b/2.dcm"
    with pytest.raises(Transient, match="the object store does not answer"), place.local("3.dcm"):
        pass
    with pytest.raises(Permanent, match="shown is no address of an object store"):
        list(Objects("nonsense://x", "shown").films())
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.dcm")).write_text("")
    with pytest.raises(Permanent, match="the names of 1 files"):
        list(Files(tmp_path).films())


def test_instances_are_known_from_day_to_day(tmp_path: Path) -> None:
    one = tabulating.place_of(Config(), "http://pacs/dicom-web", DAYS)
    assert isinstance(one, Instances)
    assert replace(one, days=Days(date(2026, 2, 1), date(2026, 2, 2))).name == one.name
