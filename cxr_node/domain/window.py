"""When a study's documents are due: facts in, a time out. Times are seconds since 1970 UTC.

A study settles, and documents are made. The films that come after that open a window; it is closed when the study
settles again.
"""

from dataclasses import dataclass

from cxr_node.domain.study import Waiting


@dataclass(frozen=True, slots=True)
class Window:
    """When the `first` and the `last` of the films came that a study has received since it last settled."""

    first: float
    last: float


def films_due(window: Window, waiting: Waiting) -> float:
    """When the wait for further films ends: after a pause, but never later than the maximum after the first film.

    An open or closed association says nothing about completeness (PS3.4 B.4), so it does not enter.
    """
    return min(window.last + waiting.settle, window.first + waiting.maximum)


def results_due(window: Window | None, first_result: float | None, waiting: Waiting) -> float | None:
    """Until when documents wait for films that are still being analysed or compared; None for as long as it takes.

    `first_result`: when the first film was judged since the study last settled, or None. Without one there is nothing
    to report. With one the others have the maximum from there: after an outage the films came long ago, and a report
    may not leave out what is judged a second later.
    """
    if first_result is None:
        return None
    return max(window.first if window else first_result, first_result) + waiting.maximum
