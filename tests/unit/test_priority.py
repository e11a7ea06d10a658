"""The reading order, on one worklist that has every case."""

import pytest

from cxr_node.domain.finding import Cutoffs, Tier
from cxr_node.domain.priority import REQUESTED, Place, Policy, Priority, sort_key

NOW = 100_000.0
WAIT = 7200.0


def place(name: str, minutes_ago: float, tier: Tier = Tier.NONE, priority: Priority | None = None) -> Place:
    return Place(name, NOW - 60 * minutes_ago, tier, priority)


LIST = [
    place("waiting", 50),
    place("medium", 40, Tier.MEDIUM),
    place("clear", 30),
    place("overdue and high", 121, Tier.HIGH),
    place("high, later", 10, Tier.HIGH),
    place("overdue", 130),
    place("high", 20, Tier.HIGH),
    place("stat", 5, priority=Priority.STAT),
    place("stat and high", 4, Tier.HIGH, Priority.STAT),
    place("high by the RIS", 15, priority=Priority.HIGH),
    place("routine and medium", 35, Tier.MEDIUM, Priority.ROUTINE),
    place("routine", 45, priority=Priority.ROUTINE),
]


def order(*, frozen: bool = False) -> list[str]:
    policy = Policy(WAIT, frozen)
    return [one.study_instance_uid for one in sorted(LIST, key=lambda one: sort_key(one, policy, NOW))]


def test_stat_then_overdue_then_tiers_then_one_queue() -> None:
    assert order() == [
        "stat", "stat and high",
        "overdue", "overdue and high",
        "high", "high by the RIS", "high, later",
        "medium", "routine and medium",
        "waiting", "routine", "clear",
    ]  # fmt: skip


def test_frozen_leaves_stat_and_arrival() -> None:
    arrival = sorted((one for one in LIST if one.priority is not Priority.STAT), key=lambda one: one.received_at)
    assert order(frozen=True) == ["stat", "stat and high", *(one.study_instance_uid for one in arrival)]


@pytest.mark.parametrize(("seconds", "group"), [(WAIT, 4), (WAIT + 0.001, 1)])
def test_overdue_begins_after_the_maximum(seconds: float, group: int) -> None:
    assert sort_key(Place("1.2", NOW - seconds, Tier.NONE, None), Policy(WAIT), NOW)[0] == group


def test_two_that_came_together_stand_by_their_uid() -> None:
    same = [Place(uid, NOW, Tier.HIGH, None) for uid in ("1.2.9", "1.2.10")]
    assert [one.study_instance_uid for one in sorted(same, key=lambda one: sort_key(one, Policy(WAIT), NOW))] == [
        "1.2.10",
        "1.2.9",
    ]


def test_every_requested_priority_of_the_standard_is_understood() -> None:
    assert set(REQUESTED) == {"STAT", "HIGH", "ROUTINE", "MEDIUM", "LOW"}


@pytest.mark.parametrize(
    ("probability", "tier"),
    [(0.0, "none"), (0.2999, "none"), (0.3, "none"), (0.4, "medium"), (0.6999, "medium"), (0.7, "high"), (1.0, "high")],
)
def test_tiers_begin_at_their_cutoffs(probability: float, tier: str) -> None:
    assert Cutoffs(threshold=0.3, medium=0.4, high=0.7).tier(probability) == tier


def test_below_the_threshold_there_is_no_tier() -> None:
    assert Cutoffs(threshold=0.8, medium=0.4, high=0.7).tier(0.75) is Tier.NONE
