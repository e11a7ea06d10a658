"""The reading order: a pure, total, documented order over the studies that wait.

1. STAT set by a person or the RIS, by arrival;
2. studies that have waited longer than the site's maximum, by arrival;
3. promoted studies, tier `high` before `medium`, by arrival inside a tier (a person's `high` counts as tier `high`);
4. one arrival-ordered queue of everything else: below the threshold, waiting, not analysed.

The model can only move a study forward. Under the kill switch (`frozen`) the model moves nothing: what a person or the
RIS set to STAT stays in front, the rest stands in arrival order.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from cxr_node.domain.finding import Tier


class Priority(StrEnum):
    """What a person or the RIS asked for; the model never lowers it."""

    STAT = "stat"
    HIGH = "high"
    ROUTINE = "routine"


# Requested Procedure Priority (0040,1003), PS3.3 C.4.11; Study Priority ID of older systems alike.
REQUESTED = {
    "STAT": Priority.STAT,
    "HIGH": Priority.HIGH,
    "ROUTINE": Priority.ROUTINE,
    "MEDIUM": Priority.ROUTINE,
    "LOW": Priority.ROUTINE,
}


def more_urgent(one: Priority | None, other: Priority | None) -> Priority | None:
    """The more urgent of two wishes: what was asked for once is not taken back by a film that asks for less."""
    order = [Priority.STAT, Priority.HIGH, Priority.ROUTINE, None]
    return min(one, other, key=order.index)


@dataclass(frozen=True, slots=True)
class Place:
    """What the order needs to know of a study. `received_at` in seconds since 1970 UTC, by our own clock."""

    study_instance_uid: str
    received_at: float
    tier: Tier
    priority: Priority | None


@dataclass(frozen=True, slots=True)
class Policy:
    """`max_wait_seconds`: after it a study goes before every promoted one. `frozen`: the model moves nothing."""

    max_wait_seconds: float
    frozen: bool = False


class Group(IntEnum):
    """Why a study stands where it stands; within a group by arrival."""

    STAT = 0
    OVERDUE = 1
    HIGH = 2
    MEDIUM = 3
    ARRIVAL = 4


def sort_key(place: Place, policy: Policy, now: float) -> tuple[int, float, str]:
    """The smaller key is read first; the study UID breaks ties, so that the order is total."""
    return group(place, policy, now), place.received_at, place.study_instance_uid


def group(place: Place, policy: Policy, now: float) -> Group:
    """What puts a study before or behind others."""
    if place.priority is Priority.STAT:
        return Group.STAT
    if policy.frozen:
        return Group.ARRIVAL
    if overdue(place, policy, now):
        return Group.OVERDUE
    if place.tier is Tier.HIGH or place.priority is Priority.HIGH:
        return Group.HIGH
    return Group.MEDIUM if place.tier is Tier.MEDIUM else Group.ARRIVAL


def overdue(place: Place, policy: Policy, now: float) -> bool:
    """Whether it has waited longer than the site's maximum; under the kill switch that moves nothing."""
    return not policy.frozen and now - place.received_at > policy.max_wait_seconds
