"""The worklist in the store: one entry a study, in step with its films, every move on record."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cxr_node.domain.eligibility import Refusal
from cxr_node.domain.finding import Tier
from cxr_node.domain.instance import InstanceState
from cxr_node.domain.job import JobState, NewJob
from cxr_node.domain.priority import Policy
from cxr_node.domain.study import EntryState
from cxr_node.store import events, jobs, passing, studies, worklist
from cxr_node.store.db import Tx
from cxr_node.store.studies import Arrival
from tests.bench import JUDGING, MODEL, NOON, add_film, add_result, digest, header, opened, study_uid

POLICY = Policy(max_wait_seconds=7200)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    store = opened(tmp_path / "node.sqlite")
    with store.transaction() as tx:
        yield tx
    store.close()


def arrive(tx: Tx, number: int, at: float = NOON, **facts: Any) -> str:
    """Film `number` comes; its digest."""
    film = add_film(tx, number, at=at, **facts)
    worklist.arrive(tx, header(number, **facts), at)
    worklist.refresh(tx, header(number, **facts).study_instance_uid, JUDGING, at)
    return film


def judge(tx: Tx, film: str, probability: float, study: int = 1) -> None:
    add_result(tx, film, probability)
    worklist.refresh(tx, study_uid(study), JUDGING, NOON)


def entry(tx: Tx, study: int = 1) -> dict[str, Any]:
    return {e["study_instance_uid"]: e for e in worklist.entries(tx, POLICY, NOON)}[study_uid(study)]


def moves(tx: Tx, study: int = 1) -> list[tuple[str, str]]:
    found = [event for event in events.of_study(tx, study_uid(study)) if event["event"] == "worklist.moved"]
    return [(event["before"]["tier"], event["after"]["tier"]) for event in found]


def test_the_first_film_opens_an_entry(tx: Tx) -> None:
    arrive(tx, 1, patient_id="P1", issuer_of_patient_id="SITE", accession_number="A1", requested_priority="STAT")
    assert entry(tx) == {
        "position": 1,
        "study_instance_uid": study_uid(1),
        "accession_number": "A1",
        "patient_id": "P1",
        "issuer_of_patient_id": "SITE",
        "site": None,
        "state": "waiting",
        "tier": "none",
        "priority": "stat",
        "positive": False,
        "finding": None,
        "probability": None,
        "threshold": 0.3,
        "reason": None,
        "received_at": NOON,
        "group": "stat",
        "reader": None,
        "state_since": None,
        "asked": None,
    }


def test_a_later_film_does_not_move_the_arrival(tx: Tx) -> None:
    arrive(tx, 1)
    arrive(tx, 2, NOON + 60, study=1, accession_number="corrected")
    assert (entry(tx)["received_at"], entry(tx)["accession_number"]) == (NOON, "corrected")


@pytest.mark.parametrize(("then", "priority"), [(None, "stat"), ("STAT", "stat"), ("NONSENSE", "stat")])
def test_a_film_that_asks_for_nothing_does_not_lower_a_priority(tx: Tx, then: str | None, priority: str) -> None:
    arrive(tx, 1, requested_priority="STAT")
    arrive(tx, 2, study=1, requested_priority=then)
    assert entry(tx)["priority"] == priority


def test_a_judgement_moves_the_entry_and_is_recorded(tx: Tx) -> None:
    judge(tx, arrive(tx, 1), 0.9)
    found = entry(tx)
    assert (found["state"], found["tier"], found["positive"]) == ("analysed", "high", True)
    assert (found["finding"], found["probability"]) == ("pneumonia", 0.9)
    assert moves(tx) == [("none", "high")]


def test_below_the_threshold_the_probability_is_shown_and_no_finding(tx: Tx) -> None:
    judge(tx, arrive(tx, 1), 0.1)
    assert (entry(tx)["finding"], entry(tx)["probability"], entry(tx)["tier"]) == (None, 0.1, "none")


def test_a_tier_that_was_shown_stays_when_a_later_judgement_is_milder(tx: Tx) -> None:
    film = arrive(tx, 1)
    judge(tx, film, 0.9)
    judge(tx, film, 0.5)
    assert (entry(tx)["tier"], entry(tx)["probability"]) == ("high", 0.5)
    assert moves(tx) == [("none", "high")]


def test_a_result_of_another_model_does_not_count(tx: Tx) -> None:
    film = arrive(tx, 1)
    add_result(tx, film, 0.9)
    other = worklist.Judging("another model", JUDGING.cutoffs)
    standing = worklist.refresh(tx, study_uid(1), other, NOON)
    assert standing is not None
    assert standing.state == "waiting"


def test_a_version_that_was_superseded_does_not_count(tx: Tx) -> None:
    film = arrive(tx, 1)
    add_result(tx, film, 0.9)
    studies.set_state(tx, film, InstanceState.SUPERSEDED)
    arrive(tx, 2, study=1)
    assert entry(tx)["state"] == "waiting"


def test_what_is_refused_shows_why(tx: Tx) -> None:
    head = header(1)
    arrival = Arrival(digest(1), "p", 1, "1.2.840.10008.1.2", "CR1", NOON, head)
    studies.add(tx, arrival, InstanceState.CURRENT, Refusal("VIEW", "View Position (0018,5101) is 'LL'"))
    worklist.arrive(tx, head, NOON)
    worklist.refresh(tx, study_uid(1), JUDGING, NOON)
    assert (entry(tx)["state"], entry(tx)["reason"]) == ("not_analysed", "View Position (0018,5101) is 'LL'")


@pytest.mark.parametrize("end", [JobState.FAILED, JobState.SKIPPED])
def test_an_analysis_that_failed_shows_why_until_it_is_tried_again(tx: Tx, end: JobState) -> None:
    film = arrive(tx, 1)
    new = NewJob("analyse", film, MODEL.digest)
    jobs.enqueue(tx, [new], NOON)
    (job,) = jobs.claim(tx, "analyse", "one", NOON, 300)
    jobs.finish(tx, job, end, NOON, error_code="BAD", error="the pixel data end early")
    worklist.refresh(tx, study_uid(1), JUDGING, NOON)
    assert (entry(tx)["state"], entry(tx)["reason"]) == ("not_analysed", "the pixel data end early")
    jobs.enqueue(tx, [new], NOON)
    worklist.refresh(tx, study_uid(1), JUDGING, NOON)
    assert (entry(tx)["state"], entry(tx)["reason"]) == ("waiting", None)


def test_a_state_that_a_person_set_is_kept_while_the_tier_moves(tx: Tx) -> None:
    film = arrive(tx, 1)
    tx.execute("UPDATE worklist_entry SET state = 'reading'")
    judge(tx, film, 0.9)
    assert (entry(tx)["state"], entry(tx)["tier"]) == ("reading", Tier.HIGH)


def test_in_reading_order_with_positions(tx: Tx) -> None:
    for number, probability in ((1, 0.1), (2, 0.5), (3, 0.9), (4, 0.95)):
        judge(tx, arrive(tx, number, NOON + number), probability, study=number)
    arrive(tx, 5, NOON + 5, requested_priority="STAT")
    found = worklist.entries(tx, POLICY, NOON + 10)
    assert [(e["position"], e["study_instance_uid"][-1]) for e in found] == [
        (1, "5"), (2, "3"), (3, "4"), (4, "2"), (5, "1")
    ]  # fmt: skip


def test_closed_entries_are_shown_only_when_asked_for(tx: Tx) -> None:
    arrive(tx, 1), arrive(tx, 2), arrive(tx, 3)
    tx.execute("UPDATE worklist_entry SET state = 'read' WHERE study_instance_uid = ?", (study_uid(1),))
    tx.execute("UPDATE worklist_entry SET state = 'withdrawn' WHERE study_instance_uid = ?", (study_uid(2),))
    assert [e["study_instance_uid"] for e in worklist.entries(tx, POLICY, NOON)] == [study_uid(3)]
    assert len(worklist.entries(tx, POLICY, NOON, closed=True)) == 3


def test_the_kill_switch_is_remembered_and_recorded(tx: Tx) -> None:
    assert not worklist.is_frozen(tx)
    worklist.freeze(tx, True, NOON, "ana")
    assert worklist.is_frozen(tx)
    worklist.freeze(tx, False, NOON, "ana")
    assert not worklist.is_frozen(tx)
    assert [row["event"] for row in tx.rows("SELECT event FROM event")] == ["worklist.frozen", "worklist.unfrozen"]


def test_a_study_without_an_entry_has_no_standing(tx: Tx) -> None:
    assert worklist.refresh(tx, "1.2.3.unknown", JUDGING, NOON) is None


def test_what_came_before_the_clock_was_set_back_keeps_its_place_and_is_overdue_in_time(tx: Tx) -> None:
    day = 24 * 3600
    for number, at in ((1, NOON - 600), (2, NOON + day - 120), (3, NOON + day)):  # the clock was a day ahead
        arrive(tx, number, at=at)
    assert passing.retime(tx, NOON) == 2
    came = {one["study_instance_uid"]: one["received_at"] for one in worklist.entries(tx, POLICY, NOON)}
    assert came == {study_uid(1): NOON - 600, study_uid(2): NOON - 120, study_uid(3): NOON}
    arrive(tx, 4, at=NOON + 1)
    order = [one["study_instance_uid"] for one in worklist.entries(tx, POLICY, NOON + 1)]
    assert order == [study_uid(number) for number in (1, 2, 3, 4)]
    groups = [one["group"] for one in worklist.entries(tx, POLICY, NOON + POLICY.max_wait_seconds + 0.5)]
    assert groups == ["overdue", "overdue", "overdue", "arrival"]
    (event,) = [one for one in events.of_study(tx, study_uid(3)) if one["event"] == "worklist.retimed"]
    assert (event["was_at"], event["received_at"]) == (NOON + day, NOON)
    assert passing.retime(tx, NOON + 1) == 0


@pytest.mark.parametrize(("ahead", "state"), [(59, "analysed"), (3600, "read")])
def test_a_moment_ahead_and_what_has_left_the_list_stay_as_they_are(tx: Tx, ahead: float, state: str) -> None:
    arrive(tx, 1, at=NOON + ahead)
    tx.execute("UPDATE worklist_entry SET state = ?", (state,))
    assert passing.retime(tx, NOON) == 0


def overdue(tx: Tx) -> list[tuple[str, str, str]]:
    rows = tx.rows("SELECT study_instance_uid AS study, detail FROM event WHERE event = 'worklist.overdue'")
    said = [(row["study"], json.loads(row["detail"])) for row in rows]
    return [(study, one["before"], one["after"]) for study, one in said]


def test_a_study_that_becomes_overdue_is_on_record_once_with_where_it_stood(tx: Tx) -> None:
    judge(tx, arrive(tx, 1, at=NOON), 0.95)
    arrive(tx, 2, at=NOON + 60)
    arrive(tx, 3, at=NOON, requested_priority="STAT")
    assert passing.tell_overdue(tx, POLICY, NOON + 100) == 0
    assert passing.tell_overdue(tx, POLICY, NOON + POLICY.max_wait_seconds) == 0
    assert passing.tell_overdue(tx, POLICY, NOON + POLICY.max_wait_seconds + 1) == 1
    assert overdue(tx) == [(study_uid(1), "high", "overdue")]
    assert passing.tell_overdue(tx, POLICY, NOON + POLICY.max_wait_seconds + 90) == 1
    assert passing.tell_overdue(tx, POLICY, NOON + 10 * POLICY.max_wait_seconds) == 0
    assert overdue(tx)[1:] == [(study_uid(2), "arrival", "overdue")]


def test_under_the_kill_switch_nothing_is_moved_by_time(tx: Tx) -> None:
    arrive(tx, 1)
    frozen = replace(POLICY, frozen=True)
    passing.tell_overdue(tx, frozen, NOON)
    assert passing.tell_overdue(tx, frozen, NOON + 2 * POLICY.max_wait_seconds) == 0


def test_what_became_overdue_after_the_clock_was_set_back_is_told(tx: Tx) -> None:
    passing.tell_overdue(tx, POLICY, NOON + 24 * 3600)
    arrive(tx, 1)
    assert passing.tell_overdue(tx, POLICY, NOON + 60) == 0
    assert passing.tell_overdue(tx, POLICY, NOON + POLICY.max_wait_seconds + 60) == 1


def test_a_study_that_is_held_keeps_its_place_in_the_order_of_arrival(tx: Tx) -> None:
    for number, probability in ((1, 0.1), (2, 0.9), (3, 0.9)):
        worklist.arrive(tx, header(number), NOON + number)
        add_result(tx, add_film(tx, number, at=NOON + number), probability)
        worklist.refresh(tx, study_uid(number), JUDGING, NOON + number)
    worklist.put(tx, study_uid(3), EntryState.HELD, "whose is it", NOON + 9)
    found = worklist.entries(tx, Policy(7200), NOON + 10)
    assert [entry["study_instance_uid"] for entry in found] == [study_uid(2), study_uid(1), study_uid(3)]
    assert (found[2]["state"], found[2]["group"], found[2]["reason"]) == ("held", "arrival", "whose is it")
