"""The laws of the reading room, over any studies: the queue against one that sorts anew for every reading."""

import math

from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.finding import Tier
from cxr_node.domain.priority import Place, Policy, Priority, sort_key
from cxr_node.domain.reading_room import DAY, Hours, read_all

MINUTE = 60.0
Study = tuple[Place, float]


@st.composite
def arrivals(draw: st.DrawFn) -> list[Study]:
    minutes = sorted(draw(st.lists(st.integers(0, 3000), max_size=25)))
    return [
        (
            Place(
                f"1.2.{draw(st.integers(0, 9))}.{number}",
                minute * MINUTE,
                draw(st.sampled_from(Tier)),
                draw(st.none() | st.sampled_from(Priority)),
            ),
            draw(st.integers(0, 200)) * MINUTE,
        )
        for number, minute in enumerate(minutes)
    ]


policies = st.builds(Policy, max_wait_seconds=st.integers(1, 600).map(lambda m: m * MINUTE), frozen=st.booleans())
readers = st.integers(1, 3)
hours = st.sampled_from([Hours(), Hours(0, DAY / 2), Hours(8 * 3600, 18 * 3600), Hours(DAY - 60, DAY)])


def sorted_anew(studies: list[Study], policy: Policy, readers: int, hours: Hours) -> list[float]:
    """What `read_all` should give, minute by minute."""
    ends, free, waiting = [math.nan] * len(studies), [0.0] * readers, list(range(len(studies)))
    minute = 0
    while waiting:
        now = minute * MINUTE
        here = [number for number in waiting if studies[number][0].received_at <= now]
        idle = [reader for reader, until in enumerate(free) if until <= now]
        if here and idle and hours.start <= now % DAY < hours.end:
            first = min(here, key=lambda number: sort_key(studies[number][0], policy, now))
            ends[first] = free[idle[0]] = now + studies[first][1]
            waiting.remove(first)
        else:
            minute += 1
    return ends


@given(arrivals(), policies, readers, hours)
def test_every_reading_begins_when_and_with_whom_the_policy_says(
    studies: list[Study], policy: Policy, readers: int, hours: Hours
) -> None:
    assert read_all(studies, policy, readers, hours) == sorted_anew(studies, policy, readers, hours)


@given(arrivals(), policies, readers, hours)
def test_nobody_is_lost_and_nobody_read_before_coming(
    studies: list[Study], policy: Policy, readers: int, hours: Hours
) -> None:
    ends = read_all(studies, policy, readers, hours)
    assert len(ends) == len(studies)
    assert all(end >= place.received_at + length for end, (place, length) in zip(ends, studies, strict=True))
    begins = [end - length for end, (_, length) in zip(ends, studies, strict=True)]
    assert all(hours.start <= begin % DAY < hours.end for begin in begins)
    for begin in begins:  # who has just begun is read too
        reading = sum(one <= begin < end for one, end in zip(begins, ends, strict=True))
        assert reading <= readers


@given(arrivals(), policies)
def test_the_order_changes_who_waits_and_not_how_long_the_work_takes(studies: list[Study], policy: Policy) -> None:
    kept = read_all(studies, policy, 1)
    frozen = read_all(studies, Policy(policy.max_wait_seconds, frozen=True), 1)
    assert max(kept, default=0.0) == max(frozen, default=0.0)


@given(arrivals(), policies, st.sampled_from(Tier))
def test_a_model_that_tells_nothing_apart_leaves_first_in_first_out(
    studies: list[Study], policy: Policy, tier: Tier
) -> None:
    """All promoted, or none: the same readings at the same times as under the kill switch."""
    same = [(Place(place.study_instance_uid, place.received_at, tier, None), length) for place, length in studies]
    frozen = Policy(policy.max_wait_seconds, frozen=True)
    assert read_all(same, policy, 2) == read_all(same, frozen, 2)
