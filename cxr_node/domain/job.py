"""Jobs and the decision to try again, as values."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `lease_token` fences its completion: whoever holds another token has lost it."""

    id: int
    kind: str
    subject: str
    target: str
    attempt: int
    lease_token: str


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be done, or done again: keyed by (kind, subject, target).

    `not_before` in seconds since 1970 UTC, 0 for now. `only_sooner`: if the job already waits for its time, that time
    is moved forward at most, never back.
    """

    kind: str
    subject: str
    target: str = ""
    not_before: float = 0.0
    only_sooner: bool = False


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter between half and the whole of the step; delays in seconds."""

    base: float
    ceiling: float
    attempts: int


def next_delay(policy: RetryPolicy, attempt: int, random: Callable[[], float]) -> float | None:
    """Seconds to wait after failed attempt number `attempt` (from 1), or None when it is time to give up.

    `random` gives numbers in [0, 1).
    """
    if attempt >= policy.attempts:
        return None
    step = min(policy.ceiling, policy.base * 2.0 ** min(attempt - 1, 32))
    return step * (0.5 + 0.5 * random())
