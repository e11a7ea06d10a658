"""Whether the second of two nodes is there to take over."""

import os
from pathlib import Path

import pytest

from cxr_node import attendance, tables
from cxr_node.config import Config
from cxr_node.lease import LEASE
from cxr_node.standing import standing
from tests.bench import NOON, Bench


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a pair of which north works, and has just said so."""
    (tmp_path / LEASE).write_text('{"term": 2, "name": "north", "since": 1767268800.0}')
    os.utime(tmp_path / LEASE, (NOON, NOON))
    return tmp_path


@pytest.mark.parametrize(("seconds", "there"), [(-90, True), (0, True), (29, True), (31, False)])
def test_who_has_said_so_lately_stands_by(folder: Path, seconds: float, there: bool) -> None:
    attendance.say(folder, "south")
    os.utime(folder / "standby", (NOON - seconds, NOON - seconds))
    assert attendance.standing_by(folder, "north") == ("south" if there else None)


def test_it_is_said_again_and_again(folder: Path) -> None:
    attendance.say(folder, "south")
    os.utime(folder / "standby", (NOON - 99, NOON - 99))
    assert attendance.standing_by(folder, "north") is None
    attendance.say(folder, "south")
    assert attendance.standing_by(folder, "north") == "south"
    attendance.say(folder, "east")
    assert attendance.standing_by(folder, "north") == "east"


def test_who_has_left_or_works_now_does_not(folder: Path) -> None:
    assert attendance.standing_by(folder, "north") is None
    attendance.say(folder, "north")
    assert attendance.standing_by(folder, "north") is None
    attendance.leave(folder)
    attendance.leave(folder)
    assert attendance.standing_by(folder, "south") is None


def test_status_says_who_works_and_who_stands_by(folder: Path) -> None:
    bench = Bench(folder)
    config = Config.model_validate({"node": {"data_dir": folder}, "pair": {"name": "north"}})
    known = {"name": "north", "works": "north", "term": 2, "since": "2026-01-01T12:00:00.000Z"}
    assert standing(config, bench.store, NOON)["pair"] == known | {"stands_by": None}
    attendance.say(folder, "south")
    assert standing(config, bench.store, NOON)["pair"] == known | {"stands_by": "south"}
    (folder / LEASE).unlink()
    assert standing(config, bench.store, NOON)["pair"] == dict.fromkeys(known, None) | {
        "name": "north",
        "stands_by": None,
    }
    assert standing(Config.model_validate({"node": {"data_dir": folder}}), bench.store, NOON)["pair"] is None


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (None, []),
        (
            {"name": "north", "works": "south", "term": 2, "since": "2026-01-01T12:00:00.000Z", "stands_by": "north"},
            ["pair          south works since 2026-01-01 12:00:00 UTC, under term 2; north stands by; this is north"],
        ),
        (
            {"name": "south", "works": "south", "term": 2, "since": "2026-01-01T12:00:00.000Z", "stands_by": None},
            ["pair          south works since 2026-01-01 12:00:00 UTC, under term 2; NOBODY STANDS BY; this is south"],
        ),
        (
            {"name": "north", "works": None, "term": None, "since": None, "stands_by": None},
            ["pair          nobody has worked yet; this is north"],
        ),
    ],
)
def test_a_person_reads_it_in_a_line(found: dict[str, object] | None, line: list[str]) -> None:
    assert tables.pair(found) == line
