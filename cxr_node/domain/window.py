"""When a study's documents are due: facts in, a time out. Times are seconds since 1970 UTC.

A study settles, and documents are made. The films that come after that open a window; it is closed when the study
settles again.
"""

from dataclasses import dataclass

from cxr_node.domain.study import Waiting


@dataclass(frozen=True, slots=True)
class Window:
    """The films that a study has received since it last settled: when the first and the last came, and their UIDs."""

    first: float
    last: float
    films: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Announced:
    """What X-ray machines have said of a study.

    `in_progress`: one is still at work on it. `listed`: SOP Instance UIDs of the films that they say it has; `missing`:
    those of them that have not come.
    """

    in_progress: bool = False
    listed: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()


def films_due(window: Window, announced: Announced, waiting: Waiting) -> float:
    """When the wait for further films ends: after a pause, but never later than the maximum after the first film.

    It is over when all that is listed has come, and something of it is new: a list says nothing of films that were
    made after it. While a machine is at work it goes on. A list of which something is missing leaves it as it is: what
    is listed need not be sent to us. An open or closed association says nothing about completeness (PS3.4 B.4), so it
    does not enter.
    """
    latest = window.first + waiting.maximum
    if announced.in_progress:
        return latest
    if not announced.missing and announced.listed & window.films:
        return min(window.last, latest)
    return min(window.last + waiting.settle, latest)


def results_due(window: Window | None, first_result: float | None, waiting: Waiting) -> float | None:
    """Until when documents wait for films that are still being analysed or compared; None for as long as it takes.

    `first_result`: when the first film was judged since the study last settled, or None. Without one there is nothing
    to report. With one the others have the maximum from there: after an outage the films came long ago, and a report
    may not leave out what is judged a second later.
    """
    if first_result is None:
        return None
    return max(window.first if window else first_result, first_result) + waiting.maximum
