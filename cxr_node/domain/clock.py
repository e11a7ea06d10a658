"""Time as an argument: whoever needs the clock is given it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], float]
"""Seconds since 1970 UTC."""

system_clock: Clock = time.time


def moment(seconds: float) -> datetime:
    """An aware UTC datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def iso(seconds: float) -> str:
    """ISO 8601 in UTC to the millisecond, as JSON shows times."""
    return moment(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
