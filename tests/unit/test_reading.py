"""What people do with worklist entries: claimed by one, read, reopened, given a priority; all on record."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cxr_node.domain.priority import Policy, Priority
from cxr_node.domain.reading import Actor
from cxr_node.domain.study import EntryState
from cxr_node.errors import Permanent
from cxr_node.store import events, reading, worklist
from cxr_node.store.db import Store, Tx
from tests.bench import JUDGING, NOON, add_film, add_result, header, opened, study_uid

ANA, BEN, ADMIN = Actor("ana"), Actor("ben"), Actor("root", overrules=True)
STUDY = study_uid(1)
POLICY = Policy(max_wait_seconds=7200)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One study, analysed and promoted."""
    store = opened(tmp_path / "node.sqlite")
    with store.transaction() as tx:
        film_came(tx, 1)
        add_result(tx, add_film(tx, 2, study=1), 0.9)
        worklist.refresh(tx, STUDY, JUDGING, NOON)
    yield store
    store.close()


@pytest.fixture
def tx(store: Store) -> Iterator[Tx]:
    with store.transaction() as tx:
        yield tx


def film_came(tx: Tx, number: int, **facts: Any) -> None:
    add_film(tx, number, study=1, **facts)
    worklist.arrive(tx, header(number, study=1, **facts), NOON)
    worklist.refresh(tx, STUDY, JUDGING, NOON)


def entry(tx: Tx) -> dict[str, Any]:
    (found,) = worklist.entries(tx, POLICY, NOON, closed=True)
    return found


def last_move(tx: Tx) -> dict[str, Any]:
    return [event for event in events.of_study(tx, STUDY) if event["event"] == "worklist.moved"][-1]


def test_a_study_is_claimed_given_back_read_and_reopened(tx: Tx) -> None:
    steps: list[tuple[Callable[[], None], str, str | None]] = [
        (lambda: reading.claim(tx, STUDY, ANA, NOON + 1), "reading", "ana"),
        (lambda: reading.release(tx, STUDY, ANA, JUDGING, NOON + 2), "analysed", None),
        (lambda: reading.claim(tx, STUDY, BEN, NOON + 3), "reading", "ben"),
        (lambda: reading.mark_read(tx, STUDY, BEN, NOON + 4), "read", "ben"),
        (lambda: reading.reopen(tx, STUDY, ANA, JUDGING, NOON + 5), "analysed", None),
    ]
    for number, (step, state, reader) in enumerate(steps, start=1):
        step()
        found = entry(tx)
        assert (found["state"], found["reader"], found["state_since"]) == (state, reader, NOON + number)
        assert found["tier"] == "high"
    causes = [event.get("cause") for event in events.of_study(tx, STUDY) if event.get("by")]
    assert causes == ["claimed", "released", "claimed", "read", "reopened"]


def test_a_move_is_recorded_with_before_after_cause_and_who(tx: Tx) -> None:
    reading.prioritise(tx, STUDY, Priority.STAT, ANA, NOON + 1)
    assert last_move(tx) == {
        "time": NOON + 1,
        "event": "worklist.moved",
        "before": {"state": "analysed", "tier": "high", "priority": None},
        "after": {"state": "analysed", "tier": "high", "priority": "stat"},
        "cause": "priority",
        "by": "ana",
    }
    assert (entry(tx)["priority"], entry(tx)["group"]) == ("stat", "stat")


def test_what_changes_nothing_is_not_recorded(tx: Tx) -> None:
    reading.claim(tx, STUDY, ANA, NOON + 1)
    before = last_move(tx)
    reading.claim(tx, STUDY, ANA, NOON + 2)
    reading.prioritise(tx, STUDY, None, ANA, NOON + 3)
    assert last_move(tx) == before
    assert entry(tx)["state_since"] == NOON + 1


REFUSED: list[tuple[str, list[Callable[[Tx], None]], Callable[[Tx], None]]] = [
    ("STUDY_CLAIMED", [lambda tx: reading.claim(tx, STUDY, ANA, NOON)], lambda tx: reading.claim(tx, STUDY, BEN, NOON)),
    ("STUDY_CLAIMED", [lambda tx: reading.claim(tx, STUDY, ANA, NOON)],
     lambda tx: reading.release(tx, STUDY, BEN, JUDGING, NOON)),
    ("STUDY_CLAIMED", [lambda tx: reading.claim(tx, STUDY, ANA, NOON)],
     lambda tx: reading.mark_read(tx, STUDY, BEN, NOON)),
    ("STUDY_NOT_CLAIMED", [], lambda tx: reading.release(tx, STUDY, ANA, JUDGING, NOON)),
    ("STUDY_NOT_READ", [], lambda tx: reading.reopen(tx, STUDY, ANA, JUDGING, NOON)),
    ("STUDY_CLOSED", [lambda tx: reading.mark_read(tx, STUDY, ANA, NOON)],
     lambda tx: reading.claim(tx, STUDY, ANA, NOON)),
    ("STUDY_CLOSED", [lambda tx: reading.mark_read(tx, STUDY, ANA, NOON)],
     lambda tx: reading.prioritise(tx, STUDY, Priority.STAT, ANA, NOON)),
    ("STUDY_HELD", [lambda tx: worklist.put(tx, STUDY, EntryState.HELD, "two patients", NOON)],
     lambda tx: reading.mark_read(tx, STUDY, ADMIN, NOON)),
    ("STUDY_UNKNOWN", [], lambda tx: reading.claim(tx, "1.2.3", ANA, NOON)),
]  # fmt: skip


@pytest.mark.parametrize(("code", "before", "move"), REFUSED)
def test_what_is_not_allowed_is_refused(
    tx: Tx, code: str, before: list[Callable[[Tx], None]], move: Callable[[Tx], None]
) -> None:
    for step in before:
        step(tx)
    stood = entry(tx)
    with pytest.raises(Permanent) as refused:
        move(tx)
    assert refused.value.code == code
    assert entry(tx) == stood


def test_who_overrules_releases_and_closes_what_another_holds(tx: Tx) -> None:
    reading.claim(tx, STUDY, ANA, NOON)
    reading.release(tx, STUDY, ADMIN, JUDGING, NOON)
    reading.claim(tx, STUDY, ANA, NOON)
    reading.mark_read(tx, STUDY, ADMIN, NOON)
    assert (entry(tx)["state"], entry(tx)["reader"]) == ("read", "root")


def test_a_held_study_may_be_given_a_priority(tx: Tx) -> None:
    worklist.put(tx, STUDY, EntryState.HELD, "two patients", NOON)
    reading.prioritise(tx, STUDY, Priority.HIGH, ANA, NOON)
    assert (entry(tx)["state"], entry(tx)["priority"]) == ("held", "high")


@pytest.mark.parametrize("state", [EntryState.HELD, EntryState.WITHDRAWN])
def test_a_study_that_is_taken_back_is_nobodys(tx: Tx, state: EntryState) -> None:
    reading.claim(tx, STUDY, ANA, NOON)
    worklist.put(tx, STUDY, state, "two patients", NOON + 1)
    assert (entry(tx)["state"], entry(tx)["reader"], entry(tx)["state_since"]) == (str(state), None, NOON + 1)


def test_results_do_not_take_a_study_from_its_reader(tx: Tx) -> None:
    reading.claim(tx, STUDY, ANA, NOON)
    film_came(tx, 3)
    add_result(tx, add_film(tx, 4, study=1), 0.95)
    worklist.refresh(tx, STUDY, JUDGING, NOON)
    assert (entry(tx)["state"], entry(tx)["reader"], entry(tx)["probability"]) == ("reading", "ana", 0.95)


def test_a_film_that_comes_after_the_reading_brings_the_study_back(tx: Tx) -> None:
    reading.mark_read(tx, STUDY, ANA, NOON)
    film_came(tx, 3)
    assert (entry(tx)["state"], entry(tx)["reader"]) == ("analysed", None)
    causes = [event["cause"] for event in events.of_study(tx, STUDY) if event["event"] == "worklist.moved"]
    assert causes[-3:] == ["read", "film", "images"]


def test_a_priority_of_a_later_film_is_on_record(tx: Tx) -> None:
    film_came(tx, 3, requested_priority="STAT")
    assert (last_move(tx)["cause"], last_move(tx)["after"]["priority"]) == ("film", "stat")


def test_a_time_limit_closes_what_is_old_and_not_held(store: Store) -> None:
    with store.transaction() as tx:
        for number, at in ((11, NOON - 50), (12, NOON - 50), (13, NOON + 50)):
            add_film(tx, number, at=at)
            worklist.arrive(tx, header(number), at)
        worklist.put(tx, study_uid(12), EntryState.HELD, "two patients", NOON)
        assert reading.close_old(tx, NOON - 10, NOON) == 1
        states = {e["study_instance_uid"]: e["state"] for e in worklist.entries(tx, POLICY, NOON, closed=True)}
        assert [states[study_uid(number)] for number in (11, 12, 13)] == ["read", "held", "waiting"]
        (told,) = [e for e in events.of_study(tx, study_uid(11)) if e["event"] == "worklist.moved"]
        assert (told["cause"], "by" in told) == ("time limit", False)


@pytest.mark.parametrize("what", ["a film", "a claim", "reopened"])
def test_a_time_limit_leaves_what_something_happened_to_since(tx: Tx, what: str) -> None:
    if what == "reopened":
        reading.mark_read(tx, STUDY, ANA, NOON)
        reading.reopen(tx, STUDY, ANA, JUDGING, NOON + 100)
    elif what == "a claim":
        reading.claim(tx, STUDY, ANA, NOON + 100)
    else:
        add_film(tx, 3, study=1, at=NOON + 100)
    assert reading.close_old(tx, NOON + 50, NOON + 100) == 0
    assert reading.close_old(tx, NOON + 101, NOON + 200) == 1


def test_what_has_left_the_list_stands_behind_what_is_open(tx: Tx) -> None:
    add_film(tx, 11)
    worklist.arrive(tx, header(11), NOON + 5)
    reading.prioritise(tx, STUDY, Priority.STAT, ANA, NOON)
    reading.mark_read(tx, STUDY, ANA, NOON)
    found = worklist.entries(tx, POLICY, NOON + 10, closed=True)
    assert [e["state"] for e in found] == ["waiting", "read"]


def test_of_readers_who_claim_at_once_one_gets_it(tmp_path: Path, store: Store) -> None:
    readers, outcomes = [Actor(f"reader{number}") for number in range(8)], list[str]()
    together = threading.Barrier(len(readers))

    def try_it(actor: Actor) -> None:
        own = Store.open(tmp_path / "node.sqlite", create=False)
        together.wait()
        try:
            with own.transaction() as tx:
                reading.claim(tx, STUDY, actor, NOON)
            outcomes.append(actor.name)
        except Permanent as refused:
            outcomes.append(refused.code)
        finally:
            own.close()

    threads = [threading.Thread(target=try_it, args=(actor,)) for actor in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if outcome != "STUDY_CLAIMED"]
    with store.reading() as tx:
        assert [entry(tx)["reader"]] == winners
    assert len(outcomes) == 8
