"""The reading order: a pure, total, documented order over the studies that wait.

1. STAT set by a person or the RIS, by arrival;
2. studies that have waited longer than the site's maximum, by arrival;
3. promoted studies, tier `high` before `medium`, by arrival inside a tier (a person's `high` counts as tier `high`);
4. one arrival-ordered queue of everything else: below the threshold, waiting, not analysed.

The model can only move a study forward. Under the kill switch (`frozen`) the model moves nothing: what a person or the
RIS set to STAT stays in front, the rest stands in arrival order.
"""

from dataclasses import dataclass
from enum import StrEnum

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


def sort_key(place: Place, policy: Policy, now: float) -> tuple[int, float, str]:
    """The smaller key is read first; the study UID breaks ties, so that the order is total."""
    return _group(place, policy, now), place.received_at, place.study_instance_uid


def _group(place: Place, policy: Policy, now: float) -> int:
    if place.priority is Priority.STAT:
        return 0
    if policy.frozen:
        return 4
    if now - place.received_at > policy.max_wait_seconds:
        return 1
    if place.tier is Tier.HIGH or place.priority is Priority.HIGH:
        return 2
    return 3 if place.tier is Tier.MEDIUM else 4
