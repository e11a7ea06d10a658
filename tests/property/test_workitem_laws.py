"""Laws of workitems: the state machine of PS3.4 table CC.1.1-2, and matching against keys."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain import dicom_json
from cxr_node.domain.dicom_json import Attributes, element, sequence
from cxr_node.domain.matching import answer, matches
from cxr_node.domain.priority import Group, Priority, more_urgent
from cxr_node.domain.reading_step import Patient, Rank, Step, describe
from cxr_node.domain.study import EntryState
from cxr_node.domain.workitem import (
    State,
    Status,
    fault_in_change,
    fault_in_update,
    renewed,
    set_priority,
    shown_priority,
    standing_for,
    uid_of,
    way,
)

LEGAL = {
    (State.SCHEDULED, State.IN_PROGRESS),
    (State.IN_PROGRESS, State.COMPLETED),
    (State.IN_PROGRESS, State.CANCELED),
}
states, entries = st.sampled_from(State), st.sampled_from(EntryState)
# Table CC.1.1-2: by state, event (with the right Transaction UID) and answer.
TABLE = [
    (State.SCHEDULED, "IN PROGRESS", None),
    (State.SCHEDULED, "SCHEDULED", Status.ONLY_BY_CREATION),
    (State.SCHEDULED, "COMPLETED", Status.NOT_IN_PROGRESS),
    (State.SCHEDULED, "CANCELED", Status.NOT_IN_PROGRESS),
    (State.IN_PROGRESS, "IN PROGRESS", Status.ALREADY_IN_PROGRESS),
    (State.IN_PROGRESS, "SCHEDULED", Status.ONLY_BY_CREATION),
    (State.IN_PROGRESS, "COMPLETED", None),
    (State.IN_PROGRESS, "CANCELED", None),
    (State.COMPLETED, "IN PROGRESS", Status.NOT_UPDATED),
    (State.COMPLETED, "SCHEDULED", Status.ONLY_BY_CREATION),
    (State.COMPLETED, "COMPLETED", Status.ALREADY_COMPLETED),
    (State.COMPLETED, "CANCELED", Status.NOT_UPDATED),
    (State.CANCELED, "IN PROGRESS", Status.NOT_UPDATED),
    (State.CANCELED, "SCHEDULED", Status.ONLY_BY_CREATION),
    (State.CANCELED, "COMPLETED", Status.NOT_UPDATED),
    (State.CANCELED, "CANCELED", Status.ALREADY_CANCELED),
]


@pytest.mark.parametrize(("state", "wanted", "expected"), TABLE)
def test_a_state_is_changed_as_the_table_says(state: State, wanted: str, expected: Status | None) -> None:
    assert fault_in_change(state, "1.2", wanted, "1.2") == expected


@given(st.sampled_from([State.COMPLETED, State.CANCELED]), st.sampled_from(["", "1.3", "1.2.0"]))
def test_only_who_shows_the_transaction_uid_ends_or_changes_it(wanted: State, shown: str) -> None:
    assert fault_in_change(State.IN_PROGRESS, "1.2", wanted, shown) is Status.WRONG_TRANSACTION
    assert fault_in_update(State.IN_PROGRESS, "1.2", shown) is Status.WRONG_TRANSACTION
    assert fault_in_change(State.IN_PROGRESS, None, wanted, shown) is Status.WRONG_TRANSACTION  # claimed at the page


@given(states, entries)
def test_however_a_study_moves_its_workitem_takes_legal_steps_alone(state: State, entry: EntryState) -> None:
    wanted = standing_for(entry)
    taken = [state, *way(state, wanted)]
    assert all(step in LEGAL for step in pairwise(taken))
    assert taken[-1] is wanted or taken[-1].final


@given(st.lists(entries, max_size=30))
def test_a_study_that_is_to_be_read_always_has_an_open_workitem(moves: list[EntryState]) -> None:
    workitems, stands = [State.SCHEDULED], EntryState.WAITING
    for stands in moves:
        wanted = standing_for(stands)
        workitems = [(way(one, wanted) or (one,))[-1] for one in workitems]
        if renewed(workitems, wanted):
            workitems.append(wanted)
    wanted = standing_for(stands)
    still_open = [one for one in workitems if not one.final]
    assert still_open == ([] if wanted.final else [wanted])


@given(st.text(max_size=20), st.integers(1, 50), st.integers(1, 50))
def test_uids_are_stable_and_of_one_study_and_number(study: str, one: int, other: int) -> None:
    assert (uid_of(study, one) == uid_of(study, other)) == (one == other)
    assert uid_of(study, one) != uid_of(study + "1", one)


@given(st.sampled_from([None, *Priority]), st.sampled_from([Priority.HIGH, Priority.ROUTINE]))
def test_a_wish_for_high_lowers_nothing(stands: Priority | None, wished: Priority) -> None:
    given_now = set_priority(stands, wished)
    if wished is Priority.HIGH:
        assert given_now is more_urgent(stands, wished)
    else:
        assert given_now is wished


@given(st.lists(st.sampled_from(Group), min_size=2, max_size=200))
def test_who_sorts_by_start_time_or_label_sorts_as_the_reading_order_does(groups: list[Group]) -> None:
    ranks = [Rank(position, group, 1_800_000_000.0) for position, group in enumerate(sorted(groups), start=1)]
    assert sorted(ranks, key=lambda rank: rank.start) == sorted(ranks, key=lambda rank: rank.label) == ranks
    assert [shown_priority(rank.group) for rank in ranks] == sorted(
        (shown_priority(rank.group) for rank in ranks), key=["HIGH", "MEDIUM", "LOW"].index
    )


moments = st.integers(631_152_000, 2_208_988_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def dt(moment: datetime, digits: int = 14) -> str:
    return f"{moment:%Y%m%d%H%M%S}"[:digits]


@given(moments, moments, moments)
def test_a_range_of_times_has_what_lies_in_it(low: datetime, high: datetime, value: datetime) -> None:
    attributes = {"00404005": element("DT", dt(value) + "+0000")}

    def within(key: str) -> bool:
        return matches({"00404005": element("DT", key)}, attributes)

    assert within(f"{dt(low)}-{dt(high)}") == (low <= value <= high)
    assert within(f"{dt(low)}-") == (low <= value)
    assert within(f"-{dt(high)}") == (value <= high)


@given(moments, st.sampled_from([4, 6, 8, 10, 12]))
def test_a_time_of_less_precision_stands_for_all_of_it(value: datetime, digits: int) -> None:
    attributes = {"00404005": element("DT", dt(value))}
    assert matches({"00404005": element("DT", dt(value, digits))}, attributes)
    assert not matches({"00404005": element("DT", dt(value + timedelta(days=400), digits))}, attributes)


text = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)


@given(text, st.data())
def test_wild_cards(value: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(value) - 1))
    attributes = {"00741204": element("LO", value)}
    for key in ("*", value, value[:place] + "*", "*" + value[place:], value[:place] + "?" + value[place + 1 :]):
        assert matches({"00741204": element("LO", key)}, attributes)
    assert not matches({"00741204": element("LO", value + "?")}, attributes)
    assert not matches({"00741204": element("LO", value + "_*")}, attributes)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"00100010": element("PN", {"Alphabetic": "doe^j*"})}, True),
        ({"00100010": element("PN", {"Alphabetic": "roe*"})}, False),
        ({"00741000": element("CS", "scheduled")}, False),
        ({"00080018": element("UI", "1.9", "1.2")}, True),
        ({"00080018": element("UI", "1.9")}, False),
        ({"00080018": {"vr": "UI"}}, True),
        ({"0040A370": sequence({"00080050": element("SH", "A1")})}, True),
        ({"0040A370": sequence({"00080050": element("SH", "A2")})}, False),
        ({"0040A370": sequence({"00080050": {"vr": "SH"}})}, True),
        ({"0040A370": sequence({})}, True),
        ({"0040A370": {"vr": "SQ"}}, True),
        ({"00404034": sequence({"00404037": element("PN", {"Alphabetic": "X"})})}, False),
        ({"00404005": element("DT", "nonsense")}, False),
        ({"00404005": element("DT", "20260101000000-0500")}, False),  # an offset, and no range
        ({"00404005": element("DT", "20260101")}, True),
        ({"00100030": element("DA", "19600101-19691231")}, True),
        ({"00100030": element("DA", "1960.01.01-1960.12.31")}, False),
        ({"00100030": element("DA", "-")}, False),
    ],
)
def test_keys(query: Attributes, expected: bool) -> None:
    attributes = {
        "00080018": element("UI", "1.2"),
        "00741000": element("CS", "SCHEDULED"),
        "00100010": element("PN", {"Alphabetic": "Doe^Jane"}),
        "00100030": element("DA", "19650203"),
        "0040A370": sequence({"00080050": element("SH", "A1"), "00401001": element("SH", "R1")}),
        "00404005": element("DT", "20260101000001+0000"),
    }
    assert matches(query, attributes) is expected


def test_an_answer_has_the_keys_and_nothing_else() -> None:
    attributes = {
        "00080018": element("UI", "1.2"),
        "0040A370": sequence({"00080050": element("SH", "A1"), "00401001": element("SH", "R1")}),
    }
    query = {"0040A370": sequence({"00080050": {"vr": "SH"}}), "00741204": {"vr": "LO"}}
    assert answer(query, attributes) == {
        "0040A370": sequence({"00080050": element("SH", "A1")}),
        "00741204": {"vr": "LO"},
    }
    assert answer({"0040A370": {"vr": "SQ"}}, attributes) == {"0040A370": attributes["0040A370"]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["00080018", "vr", "Value"]), inner),
    max_leaves=12,
)


@given(json_values)
def test_what_is_taken_for_a_data_set_can_be_matched(found: Any) -> None:
    if dicom_json.fault(found) is None:
        assert matches({}, found)
        matches(found, found)
        answer(found, found)


def test_no_workitem_tells_its_transaction_uid() -> None:
    step = Step("1", State.IN_PROGRESS, "2", "A1", Patient("P1", ""), "READY", 0.0, 0.0, False, True, (), {})
    assert "00081195" not in describe(step)
