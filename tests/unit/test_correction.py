"""What stands of a study: whatever the order in which it was said, the same."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.correction import (
    CANCELLED,
    DISOWNED,
    LATE,
    MIXED,
    Facts,
    Rejection,
    Spoken,
    Word,
    gravest,
    ground,
    require_releasable,
    standing_grounds,
)
from cxr_node.domain.study import EntryState
from cxr_node.errors import Permanent

A, B = frozenset({"1.1"}), frozenset({"1.1", "1.2"})
_UIDS = st.frozensets(st.sampled_from(["1.1", "1.2", "1.3"]))
_WORDS = st.builds(
    Spoken,
    number=st.integers(1, 99),
    word=st.sampled_from([word for word in Word if word is not Word.RELEASED]),
    at=st.floats(0, 10),
    films=_UIDS,
    order=st.sampled_from(["A1", "A2"]),
    reason=st.just("taken back"),
)
_FACTS = st.builds(
    Facts,
    films=_UIDS,
    rejected=st.dictionaries(st.sampled_from(["1.1", "1.2", "1.9"]), st.sampled_from(list(Rejection))),
    disowned=_UIDS,
    spoken=st.lists(_WORDS, max_size=4, unique_by=lambda one: one.number),
    doubts=st.dictionaries(st.sampled_from(["patient", "date"]), st.just("they differ")),
)


def said(number: int, word: Word, films: frozenset[str] = A, at: float = 0.0, **more: object) -> Spoken:
    return Spoken(number, word, at or float(number), films, order="A1", **more)  # type: ignore[arg-type]


def standing(*spoken: Spoken, films: frozenset[str] = A, **more: object) -> tuple[str, str] | None:
    found = ground(Facts(films, spoken=spoken, **more))  # type: ignore[arg-type]
    return (found.state.value, found.reason) if found else None


def test_a_study_of_which_nothing_was_said_stands() -> None:
    assert standing() is None
    assert standing(films=frozenset()) is None


@pytest.mark.parametrize(
    ("word", "covered", "late"),
    [(Word.WITHDRAWN, "taken back", MIXED), (Word.DISOWNED, DISOWNED, MIXED), (Word.CANCELLED, CANCELLED, LATE)],
)
def test_what_withdraws_a_study_covers_the_films_that_were_there(word: Word, covered: str, late: str) -> None:
    one = said(1, word, reason="taken back")
    assert standing(one) == ("withdrawn", covered)
    assert standing(one, films=B) == ("held", late)


def test_what_is_withdrawn_goes_before_what_is_held() -> None:
    assert standing(said(1, Word.WITHDRAWN, B, reason="why"), films=B, doubts={"a": "b"}) == ("withdrawn", "why")


@pytest.mark.parametrize(
    ("spoken", "stands"),
    [
        ([(1, Word.CANCELLED, 5.0), (2, Word.ORDERED, 6.0)], True),
        ([(1, Word.ORDERED, 6.0), (2, Word.CANCELLED, 5.0)], True),
        ([(1, Word.ORDERED, 5.0), (2, Word.CANCELLED, 6.0)], False),
        ([(1, Word.CANCELLED, 5.0), (2, Word.ORDERED, 5.0)], True),
        ([(1, Word.ORDERED, 5.0), (2, Word.CANCELLED, 5.0)], False),
        ([(1, Word.CANCELLED, 5.0), (2, Word.ORDERED, 6.0), (3, Word.CANCELLED, 7.0)], False),
    ],
)
def test_of_an_order_what_was_said_last_counts_whenever_it_came(
    spoken: Sequence[tuple[int, Word, float]], stands: bool
) -> None:
    words = [said(number, word, at=at) for number, word, at in spoken]
    assert (standing(*words) is None) is stands


def test_an_order_that_is_given_again_says_nothing_of_another_one() -> None:
    other = Spoken(2, Word.ORDERED, 9.0, A, "A2")
    assert standing(said(1, Word.CANCELLED), other) == ("withdrawn", CANCELLED)


def test_orders_that_are_cancelled_each_for_its_films_withdraw_the_study_together() -> None:
    one = Spoken(1, Word.CANCELLED, 1.0, frozenset({"1.1"}), "A1")
    two = Spoken(2, Word.CANCELLED, 2.0, frozenset({"1.2"}), "A2")
    assert standing(one, films=B) == standing(two, films=B) == ("held", LATE)
    assert standing(one, two, films=B) == ("withdrawn", CANCELLED)
    assert standing(one, two, Spoken(3, Word.ORDERED, 3.0, B, "A2"), films=B) == ("held", LATE)
    released = Spoken(3, Word.RELEASED, 3.0, B, grounds=frozenset({"cancelled 1"}))
    assert standing(one, released, films=B) is None
    assert standing(one, released, two, films=B) == ("held", LATE)


def test_a_film_that_was_rejected_leaves_the_others_as_they_are() -> None:
    assert standing(films=B, rejected={"1.1": Rejection.QUALITY, "1.9": Rejection.SAFETY}) is None
    found = standing(films=A, rejected={"1.1": Rejection.QUALITY})
    assert found == ("withdrawn", "its films were rejected: for quality reasons")


def test_films_of_a_wrong_entry_beside_others_are_for_a_person() -> None:
    assert standing(films=B, disowned=A) == ("held", MIXED)
    assert standing(films=A, disowned=A) == ("withdrawn", DISOWNED)
    assert standing(films=B, disowned=A, rejected={"1.2": Rejection.QUALITY}) is not None


@pytest.mark.parametrize("titles", list(itertools.permutations(Rejection)))
def test_of_several_notes_the_gravest_counts_in_whatever_order(titles: Sequence[Rejection]) -> None:
    assert gravest(titles) is Rejection.SAFETY
    assert gravest([]) is Rejection.SAFETY


@given(_FACTS)
def test_what_is_released_stands_until_something_new_is_said(facts: Facts) -> None:
    grounds = standing_grounds(facts)
    names = frozenset(each.name for each in grounds if each.releasable)
    released = Facts(
        facts.films, facts.rejected, facts.disowned, [*facts.spoken, Spoken(100, Word.RELEASED, 0.0, grounds=names)],
        facts.doubts,
    )  # fmt: skip
    left = standing_grounds(released)
    assert all(not each.releasable for each in left)
    again = Facts(
        facts.films, facts.rejected, facts.disowned,
        [*released.spoken, Spoken(101, Word.WITHDRAWN, 0.0, facts.films, reason="again")], facts.doubts,
    )  # fmt: skip
    found = ground(again)
    assert found is not None
    assert found.state is EntryState.WITHDRAWN


@given(_FACTS, st.randoms())
def test_the_order_of_receipt_is_of_no_account(facts: Facts, random: object) -> None:
    """Numbers are those of receipt; of words of one moment alone they decide, and then they stay."""
    shuffled = list(facts.spoken)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = Facts(facts.films, facts.rejected, facts.disowned, shuffled, facts.doubts)
    assert {each.name for each in standing_grounds(other)} == {each.name for each in standing_grounds(facts)}
    one, two = ground(facts), ground(other)
    assert (one and one.state) == (two and two.state)


def test_what_cannot_be_released_is_said() -> None:
    with pytest.raises(Permanent, match="neither held nor withdrawn") as none:
        require_releasable([])
    assert none.value.code == "STUDY_NOT_HELD"
    with pytest.raises(Permanent) as gone:
        require_releasable(standing_grounds(Facts(A, {"1.1": Rejection.QUALITY})))
    assert gone.value.code == "FILMS_REJECTED"
