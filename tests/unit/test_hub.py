"""A hub and its nodes: one list for all, in the order of a single node that got everything, whatever is away when."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cxr_node.domain import region, requirements
from cxr_node.domain.job import Job
from cxr_node.domain.order import Deed, Said
from cxr_node.domain.patient import Change, Identifier, Person
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading_step import SETTABLE
from cxr_node.domain.region import Decided
from cxr_node.domain.workitem import State
from cxr_node.errors import Permanent, Transient
from cxr_node.stages.inform import Inform
from cxr_node.store import hub as outbox
from cxr_node.store import identities, orders, reading, withdrawal
from cxr_node.store.db import Tx
from cxr_node.ups.desk import Desk
from tests.bench import JUDGING, Bench, study_uid
from tests.hub import READER, Line, Site, act, come, hub_of, listed, shown, site


@pytest.fixture
def hub(tmp_path: Path) -> tuple[Bench, Desk]:
    return hub_of(tmp_path / "hub", "north", "south")


@pytest.fixture
def north(tmp_path: Path, hub: tuple[Bench, Desk]) -> Site:
    return site(tmp_path / "north", "north", hub[1])


@pytest.fixture
def south(tmp_path: Path, hub: tuple[Bench, Desk]) -> Site:
    return site(tmp_path / "south", "south", hub[1])


WHAT = ("claim", "read", "give back", "reopen", "withdraw", "stat", "high", "routine")


@pytest.mark.parametrize("seed", range(4))
def test_a_hub_has_the_order_of_a_single_node_that_got_everything(
    tmp_path: Path, hub: tuple[Bench, Desk], north: Site, south: Site, seed: int
) -> None:
    chance = random.Random(seed)
    (tmp_path / "single").mkdir()
    single = Bench(tmp_path / "single")
    studies: list[tuple[Site, str]] = []
    for number in range(1, 41):
        where, at = chance.choice((north, south)), single.clock()
        probability = chance.choice((None, chance.random()))
        patient = {"patient_id": f"P{number % 7}", "accession_number": f"A{number}"}
        for bench in (where.bench, single):
            come(bench, number, at, probability, **patient)
        studies.append((where, study_uid(number)))
        if chance.random() < 0.6:
            owner, study = studies.pop(chance.randrange(len(studies)))
            what = chance.choice(WHAT)
            for bench in (owner.bench, single):
                act(bench, what, study)
        for each in (north, south):
            each.line.away = chance.random() < 0.5
            if not each.line.away and chance.random() < 0.5:
                each.tell()
        for bench in (single, hub[0], north.bench, south.bench):
            bench.clock.turn(600)
    for each in (north, south):
        each.line.away = False
        each.tell()
    assert shown(hub[0]) == shown(single)
    sites = {entry["study_instance_uid"]: entry["site"] for entry in listed(hub[0])}
    assert set(sites.values()) == {"north", "south"}
    assert all(sites[study] == owner.name for owner, study in studies if study in sites)


def test_a_hub_that_is_away_is_told_in_order_when_it_is_back(hub: tuple[Bench, Desk], north: Site) -> None:
    come(north.bench, 1, north.bench.clock(), 0.9)
    north.tell()
    north.line.away = True
    for number in range(2, 121):
        come(north.bench, number, north.bench.clock(), 0.9)
        north.bench.clock.turn(1)
        with pytest.raises(Transient, match="no connection"):
            north.tell()
    act(north.bench, "stat", study_uid(5))
    north.line.away = False
    north.tell()
    gathered = hub[0].rows(
        "SELECT study_instance_uid AS study FROM event WHERE event = 'worklist.gathered' ORDER BY sequence"
    )
    assert list(dict.fromkeys(row["study"] for row in gathered)) == [study_uid(number) for number in range(1, 121)]
    assert listed(hub[0])[0]["study_instance_uid"] == study_uid(5)
    asked = len(north.line.calls)
    north.tell()
    assert north.line.calls[asked:] == ["asked"]  # it knows all


def test_what_was_told_before_a_crash_is_not_told_twice(hub: tuple[Bench, Desk], north: Site) -> None:
    come(north.bench, 1, north.bench.clock(), 0.9)
    act(north.bench, "claim", study_uid(1))
    stage = Inform(north.bench.store, north.line, north.bench.clock)
    stage.run(Job(1, "inform", "hub", "", 1, "token"))  # the process dies before it can say so
    north.tell()
    assert north.line.calls.count("create") == 1
    assert north.line.calls.count("move") == 1
    assert [entry["state"] for entry in listed(hub[0])] == ["reading"]
    assert "study.viewed" not in hub[0].events()


def test_a_hub_that_has_lost_everything_is_told_anew(tmp_path: Path, hub: tuple[Bench, Desk], north: Site) -> None:
    for number in range(1, 61):
        come(north.bench, number, north.bench.clock() + number, 0.9 if number % 3 else 0.1)
    act(north.bench, "claim", study_uid(2))
    act(north.bench, "read", study_uid(3))
    north.tell()
    other, at = hub_of(tmp_path / "other", "north")
    north.line.at = at
    north.tell()
    assert listed(other) == []
    with north.bench.store.transaction() as tx:
        assert outbox.begin_again(tx) == 59
    north.tell()
    assert shown(other) == shown(hub[0]) == shown(north.bench)


def test_what_is_read_or_taken_back_leaves_the_hub_and_comes_back(hub: tuple[Bench, Desk], north: Site) -> None:
    study = come(north.bench, 1, north.bench.clock(), 0.9)
    north.tell()
    for what, left, uids in (("read", 0, 1), ("reopen", 1, 2), ("give back", 1, 3), ("withdraw", 0, 3)):
        if what == "reopen":
            with north.bench.store.transaction() as tx:
                reading.reopen(tx, study, READER, JUDGING, north.bench.clock())
        else:
            act(north.bench, what, study)
        north.tell()
        assert len(listed(hub[0])) == left, what
        assert len(hub[0].rows("SELECT uid FROM workitem")) == uids, what
    states = {row["uid"]: row["state"] for row in hub[0].rows("SELECT uid, state FROM workitem")}
    assert states == {row["uid"]: row["state"] for row in north.bench.rows("SELECT uid, state FROM workitem")}
    assert shown(hub[0], closed=True) == shown(north.bench, closed=True)


def test_a_patient_number_of_two_sites_is_two_patients(hub: tuple[Bench, Desk], north: Site, south: Site) -> None:
    come(north.bench, 1, 100.0, 0.9, patient_id="4711", issuer_of_patient_id="NORTH")
    come(south.bench, 2, 101.0, 0.9, patient_id="4711", issuer_of_patient_id="SOUTH")
    north.tell()
    south.tell()
    found = [(entry["site"], entry["issuer_of_patient_id"], entry["patient_id"]) for entry in listed(hub[0])]
    assert found == [("north", "NORTH", "4711"), ("south", "SOUTH", "4711")]


def test_a_study_of_another_site_is_refused_and_the_rest_goes_on(
    hub: tuple[Bench, Desk], north: Site, south: Site
) -> None:
    come(north.bench, 1, 100.0, 0.9)
    north.tell()
    come(south.bench, 1, 100.0, 0.9)
    come(south.bench, 2, 101.0, 0.9)
    south.tell()
    assert [(entry["site"], entry["study_instance_uid"]) for entry in listed(hub[0])] == [
        ("north", study_uid(1)), ("south", study_uid(2)),
    ]  # fmt: skip
    assert south.bench.events().count("hub.refused") == 1


def test_a_study_whose_films_come_to_the_hub_is_its_own(hub: tuple[Bench, Desk], north: Site) -> None:
    come(north.bench, 1, 100.0, 0.9)
    north.tell()
    come(hub[0], 1, 200.0, 0.9)
    act(north.bench, "stat", study_uid(1))
    north.tell()
    (entry,) = listed(hub[0])
    assert (entry["site"], entry["priority"]) == (None, None)
    assert "hub.refused" in north.bench.events()


@pytest.mark.parametrize("take", [
    lambda tx, study, now: withdrawal.withdraw(tx, study, "a repeat", READER, judging=JUDGING, now=now),
    lambda tx, study, now: withdrawal.release(tx, study, READER, JUDGING, now),
])  # fmt: skip
def test_nobody_takes_back_or_releases_at_the_hub_what_is_a_sites(
    hub: tuple[Bench, Desk], north: Site, take: Callable[[Tx, str, float], object]
) -> None:
    study = come(north.bench, 1, 100.0, 0.9)
    north.tell()
    with pytest.raises(Permanent, match="the study is at north"), hub[0].store.transaction() as tx:
        take(tx, study, hub[0].clock())
    assert shown(hub[0]) == shown(north.bench)


def test_the_ris_and_the_admission_of_a_hub_say_nothing_of_what_is_a_sites(
    hub: tuple[Bench, Desk], north: Site
) -> None:
    study = come(north.bench, 1, 100.0, 0.9, patient_id="P1", accession_number="A1")
    north.tell()
    said = Said(Deed.ORDER, "A1", study, (Identifier("P1"),), Priority.STAT)
    change = Change(Person((Identifier("P1"),)))
    for bench, found in ((north.bench, [study]), (hub[0], [])):
        with bench.store.reading() as tx:
            assert orders.studies_meant(tx, said) == orders.studies_named(tx, said) == found
            assert identities.studies_of(tx, change) == found


@pytest.mark.parametrize("what", ["claim", "read"])
def test_nobody_acts_at_the_hub_on_what_is_read_at_its_site(hub: tuple[Bench, Desk], north: Site, what: str) -> None:
    study = come(north.bench, 1, 100.0, 0.9)
    north.tell()
    with pytest.raises(Permanent, match="the study is at north") as caught:
        act(hub[0], what, study)
    assert caught.value.code == "AT_SITE"


@pytest.mark.parametrize("by_web", [True, False])
def test_a_workitem_of_a_site_is_changed_by_that_site_alone(
    hub: tuple[Bench, Desk], north: Site, south: Site, by_web: bool
) -> None:
    come(north.bench, 1, 100.0, 0.9)
    north.tell()
    ((uid,),) = [tuple(row.values()) for row in hub[0].rows("SELECT uid FROM workitem")]
    other = Line(hub[1] if by_web else replace(hub[1], by_web=False), "south" if by_web else "north")
    for change in (
        lambda: other.update(uid, {"00400400": {"vr": "LT", "Value": ["a word"]}}, None),
        lambda: other.move(uid, State.IN_PROGRESS, "1.2.3"),
    ):
        with pytest.raises(Permanent, match="it is claimed and read at its site"):
            change()


def test_a_time_limit_of_the_hub_closes_nothing_of_a_site(hub: tuple[Bench, Desk], north: Site) -> None:
    come(north.bench, 1, 100.0, 0.9)
    north.tell()
    with hub[0].store.transaction() as tx:
        assert reading.close_old(tx, hub[0].clock(), hub[0].clock()) == 0
    with north.bench.store.transaction() as tx:
        assert reading.close_old(tx, hub[0].clock(), hub[0].clock()) == 1


def test_a_hub_that_is_no_longer_configured_is_said(north: Site) -> None:
    with pytest.raises(Permanent, match="no hub is told any more"):
        Inform(north.bench.store, None, north.bench.clock).run(Job(1, "inform", "hub", "", 1, "token"))


ENTRY = {
    "state": "analysed", "tier": "medium", "priority": None, "accession_number": "A1", "patient_id": "P1",
    "issuer_of_patient_id": None, "finding": "pneumonia", "reason": None, "reader": None, "received_at": 1767268800.25,
    "probability": 0.625, "threshold": 0.5, "state_since": None, "positive": 1,
}  # fmt: skip


def test_what_a_site_says_is_read_to_the_letter_and_is_a_whole_creation() -> None:
    said = region.offered("1.2.4.1", ENTRY, Decided())
    assert region.read(said) == ENTRY
    assert requirements.fault_in_creation(said) is None
    assert set(region.changed("1.2.4.1", ENTRY, Decided())) <= SETTABLE


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("state", "closed", "state is not what it should be"),
        ("tier", None, "tier is missing"),
        ("priority", "urgent", "priority is not what it should be"),
        ("probability", 1.5, "probability is not what it should be"),
        ("received_at", "noon", "received_at is not what it should be"),
        ("received_at", float("nan"), "received_at is not what it should be"),
        ("positive", 2, "positive is not what it should be"),
        ("patient_id", "P" * 2000, "patient_id is not what it should be"),
        ("reader", ["one"], "reader is not what it should be"),
    ],
)
def test_what_has_no_place_in_a_list_is_refused_without_quoting_it(name: str, value: object, fault: str) -> None:
    said = region.offered("1.2.4.1", ENTRY, Decided())
    item = region.COLUMNS.index(name)
    said["00741210"]["Value"][item]["0040A160"] = {"vr": "UT", "Value": [json.dumps(value)]}
    with pytest.raises(ValueError, match=fault):
        region.read(said)
    said["00741210"]["Value"][item]["0040A160"] = {"vr": "UT", "Value": ["{"]}
    with pytest.raises(ValueError, match=f"{name} is no JSON"):
        region.read(said)
