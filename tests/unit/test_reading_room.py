"""The reading room on a few studies that can be followed by hand."""

import pytest

from cxr_node.domain.finding import Tier
from cxr_node.domain.priority import Place, Policy, Priority
from cxr_node.domain.reading_room import DAY, Hours, read_all

TEN = 600.0


def come(*studies: tuple[float, Tier | Priority]) -> list[tuple[Place, float]]:
    """Studies that come at these minutes, each read in ten."""
    places = [
        Place(
            f"1.2.{number}",
            60.0 * minute,
            why if isinstance(why, Tier) else Tier.NONE,
            why if isinstance(why, Priority) else None,
        )
        for number, (minute, why) in enumerate(studies)
    ]
    return [(place, TEN) for place in places]


def minutes(studies: list[tuple[Place, float]], wait: float = 120, readers: int = 1, **rest: Hours) -> list[float]:
    return [end / 60 for end in read_all(studies, Policy(60 * wait), readers, **rest)]


NORMAL, CRITICAL = Tier.NONE, Tier.HIGH


def test_a_promoted_study_goes_first_and_interrupts_no_reading() -> None:
    assert minutes(come((0, NORMAL), (1, NORMAL), (2, CRITICAL), (3, Priority.STAT))) == [10, 40, 30, 20]


def test_a_study_that_has_become_overdue_while_it_waited_goes_before_the_promoted() -> None:
    studies = come((0, NORMAL), (1, NORMAL), (2, CRITICAL), (3, CRITICAL), (4, CRITICAL))
    assert minutes(studies, wait=15) == [10, 30, 20, 40, 50]
    assert minutes(studies, wait=120) == [10, 50, 20, 30, 40]


def test_two_readers_do_not_wait_for_each_other() -> None:
    assert minutes(come((0, NORMAL), (0, NORMAL), (1, NORMAL)), readers=2) == [10, 10, 20]


def test_who_comes_after_hours_is_read_in_the_morning() -> None:
    hours = Hours(8 * 3600, 18 * 3600)
    found = minutes(come((0, NORMAL), (18 * 60 - 1, NORMAL), (18 * 60, NORMAL)), hours=hours)
    assert found == [8 * 60 + 10, 18 * 60 + 9, DAY / 60 + 8 * 60 + 10]


def test_without_studies_nothing_is_read() -> None:
    assert read_all([], Policy(60), 1) == []


def test_no_reader_is_an_error() -> None:
    with pytest.raises(ValueError, match="readers must be 1 or more"):
        read_all(come((0, NORMAL)), Policy(60), 0)


def test_studies_out_of_order_are_an_error() -> None:
    with pytest.raises(ValueError, match="not in the order of arrival"):
        read_all(come((5, NORMAL), (0, NORMAL)), Policy(60), 1)
