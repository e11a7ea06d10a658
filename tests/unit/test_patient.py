"""Whose a study is after what admissions said: the newest word, whenever it came, and never more than it said."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.patient import Change, Identifier, Person, Whose, corrected

FILM = Whose("TEMP1", "", "Unknown^Trauma", "", "M", "A1")


def ids(*values: str) -> tuple[Identifier, ...]:
    return tuple(Identifier(*value.split("@")) for value in values)


def merge(prior: str, now: str, name: str = "", at: float = 1.0, number: int = 1, **more: str) -> Change:
    return Change(Person(ids(*now.split("~")), name, **more), ids(prior), at, number)


def update(now: str, name: str = "", at: float = 1.0, number: int = 1, **more: str) -> Change:
    return Change(Person(ids(now), name, **more), (), at, number)


def test_a_film_of_which_nothing_was_said_is_as_it_says() -> None:
    assert corrected(FILM, []) == {}
    assert corrected(Whose(), [merge("TEMP1", "P1", "Doe^Jane")]) == {}


def test_a_temporary_number_is_merged_and_brings_all_that_is_known() -> None:
    found = corrected(FILM, [merge("TEMP1", "P1", "Doe^Jane", birth_date="19600229", sex="F")])
    assert found == {"PatientID": "P1", "PatientName": "Doe^Jane", "PatientBirthDate": "19600229", "PatientSex": "F"}


def test_merges_are_followed_in_whatever_order_they_come_and_a_circle_ends() -> None:
    changes = [merge("TEMP1", "P1", number=1), merge("P1", "P2", number=2), merge("P2", "P3", "Doe^Jane", number=3)]
    for order in itertools.permutations(changes):
        assert corrected(FILM, order)["PatientID"] == "P3"
    circle = [merge("TEMP1", "P1", number=1), merge("P1", "TEMP1", number=2)]
    assert corrected(FILM, circle) == {"PatientID": "P1"}


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
def test_of_two_updates_the_newer_one_counts_whichever_came_first(numbers: Sequence[int]) -> None:
    old, new = (
        update("TEMP1", name, at, number) for name, at, number in zip(("A^B", "C^D"), (1.0, 2.0), numbers, strict=True)
    )
    assert corrected(FILM, [old, new]) == {"PatientName": "C^D"}


@pytest.mark.parametrize("name", ["unknown^TRAUMA", "Unknown^Trauma^^^", "Unknown ^ Trauma"])
def test_a_name_that_is_only_written_otherwise_is_no_other_name(name: str) -> None:
    assert corrected(FILM, [update("TEMP1", name)]) == {}


def test_what_a_film_leaves_open_is_no_mistake() -> None:
    assert corrected(FILM, [update("TEMP1", "Unknown^Trauma", birth_date="19600229")]) == {}
    assert corrected(FILM, [update("TEMP1", sex="F")]) == {"PatientSex": "F"}


def test_authorities_count_where_both_say_theirs() -> None:
    film = Whose("1", "HOSP", "Doe^Jane")
    assert corrected(film, [merge("1@OTHER", "2@OTHER", "X^Y")]) == {}
    assert corrected(film, [merge("1@HOSP", "9@OTHER~2@HOSP")]) == {"PatientID": "2"}
    assert corrected(film, [merge("1", "2@CITY")]) == {"PatientID": "2", "IssuerOfPatientID": "CITY"}


def test_an_accession_number_is_replaced_alone() -> None:
    assert corrected(FILM, [], "A2") == {"AccessionNumber": "A2"}
    assert corrected(FILM, [], "A1") == {}


_VALUES = st.sampled_from(["TEMP1", "P1", "P2", "P3"])
_PERSONS = st.builds(
    Person, identifiers=st.tuples(st.builds(Identifier, _VALUES)), name=st.sampled_from(["", "A^B", "C^D"]),
    sex=st.sampled_from(["", "F"]),
)  # fmt: skip
_PRIOR = st.just(()) | st.tuples(st.builds(Identifier, _VALUES))
_CHANGES = st.lists(
    st.builds(Change, _PERSONS, _PRIOR, st.floats(0, 5), st.integers(0, 99)), max_size=6,
    unique_by=lambda one: one.number,
)  # fmt: skip


@given(_CHANGES, st.randoms())
def test_the_order_of_receipt_is_of_no_account(changes: list[Change], random: object) -> None:
    shuffled = list(changes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert corrected(FILM, shuffled) == corrected(FILM, changes)
