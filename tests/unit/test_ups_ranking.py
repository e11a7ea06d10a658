"""The reading order is kept in step with what happens, without reading everything again."""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from cxr_node.domain import dicom_json
from cxr_node.domain.dicom_json import element
from cxr_node.domain.priority import Policy, Priority
from cxr_node.domain.reading import Actor
from cxr_node.domain.workitem import Action, Caller, Reply
from cxr_node.errors import Permanent
from cxr_node.store import reading, worklist
from cxr_node.ups.desk import Desk
from tests import films
from tests.bench import JUDGING, Bench, add_result, desk
from tests.steps import wanted

CALLER = Caller("viewer", "VIEWER", "192.0.2.1")
READER = Actor("dr.adams", overrules=True)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class Day:
    """What may happen to the workitems of a node."""

    def __init__(self, bench: Bench, asked: Desk, seed: int) -> None:
        self.bench, self.asked, self.random = bench, asked, random.Random(seed)
        self.studies: list[str] = []
        self.created = 0

    def film(self) -> None:
        sent = films.chest()
        self.bench.send(sent)
        self.studies.append(str(sent.StudyInstanceUID))

    def result(self) -> None:
        study = self.random.choice(self.studies)
        with self.bench.store.transaction() as tx:
            (row,) = tx.rows("SELECT digest FROM instance WHERE study_instance_uid = ?", (study,))
            add_result(tx, row["digest"], self.random.random())
            worklist.refresh(tx, study, JUDGING, self.bench.clock())

    def moved(self) -> None:
        study, now = self.random.choice(self.studies), self.bench.clock()
        moves: Sequence[Callable[..., None]] = [
            lambda tx: reading.claim(tx, study, READER, now),
            lambda tx: reading.release(tx, study, READER, JUDGING, now),
            lambda tx: reading.mark_read(tx, study, READER, now),
            lambda tx: reading.reopen(tx, study, READER, JUDGING, now),
            lambda tx: reading.prioritise(tx, study, self.random.choice([None, *Priority]), READER, now),
        ]
        with suppress(Permanent), self.bench.store.transaction() as tx:  # not everything is possible with every study
            self.random.choice(moves)(tx)

    def create(self) -> None:
        """By a peer; of a study that is here, of one that is to come, or of none."""
        self.created += 1
        empty = wanted().to_json_dict()
        study = self.random.choice(["", f"1.2.9.{self.created}", *self.studies])
        said = empty | {
            "00741000": element("CS", "SCHEDULED"),
            "00741200": element("CS", self.random.choice(["HIGH", "MEDIUM", "LOW"])),
            "00741204": element("LO", "Second reading"),
            "00404041": element("CS", "READY"),
            "00404005": element("DT", "20260101120000"),
            "0040A370": dicom_json.sequence({"0020000D": element("UI", study)}),
        }
        self.asked.create(f"1.2.8.{self.created}", said, CALLER)

    def change(self) -> Reply | None:
        """By a peer, what one of them created."""
        if not self.created:
            return None
        uid = f"1.2.8.{self.random.randint(1, self.created)}"
        wish = {"00741200": element("CS", self.random.choice(["HIGH", "LOW"]))}
        begin = {"00741000": element("CS", "IN PROGRESS"), "00081195": element("UI", "1.2.7")}
        return self.random.choice(
            [
                lambda: self.asked.set(uid, wish, CALLER),
                lambda: self.asked.act(uid, Action.CHANGE_STATE, begin, CALLER),
                lambda: self.asked.act(uid, Action.REQUEST_CANCEL, {}, CALLER),
            ]
        )()

    def later(self) -> None:
        self.bench.clock.turn(self.random.choice([1, 600, 4000]))


def order(asked: Desk, state: str) -> list[tuple[str, object]]:
    """UIDs of what is found, first to be read first, and how it is labelled; what a peer created may have no label."""
    query = {"00741000": element("CS", *([state] if state else []))}
    return [(found["00080018"]["Value"][0], found.get("00741202")) for found in asked.search.found(query)]


@pytest.mark.parametrize("seed", range(4))
def test_it_is_always_what_reading_everything_anew_would_give(bench: Bench, seed: int) -> None:
    kept = desk(bench)
    day = Day(bench, kept, seed)
    day.film()
    for _ in range(60):
        day.random.choice([day.film, day.result, day.moved, day.moved, day.create, day.change, day.later])()
        bench.clock.turn(1)
        for state in ("SCHEDULED", ""):
            assert order(kept, state) == order(desk(bench), state)
    assert day.created
    assert len(day.studies) > 1


def test_the_kill_switch_changes_the_order_at_once(bench: Bench) -> None:
    kept = replace(desk(bench), policy=lambda tx: Policy(7200.0, frozen=worklist.is_frozen(tx)))
    day = Day(bench, kept, 1)
    for _ in range(3):
        day.film()
        bench.clock.turn(1)
    with bench.store.transaction() as tx:
        (row,) = tx.rows("SELECT digest FROM instance WHERE study_instance_uid = ?", (day.studies[-1],))
        add_result(tx, row["digest"], 0.9)
        worklist.refresh(tx, day.studies[-1], JUDGING, bench.clock())
    promoted = order(kept, "SCHEDULED")
    with bench.store.transaction() as tx:
        worklist.freeze(tx, True, bench.clock(), "operator")
    frozen = order(kept, "SCHEDULED")
    assert [uid for uid, _ in frozen] == [uid for uid, _ in [*promoted[1:], promoted[0]]]
