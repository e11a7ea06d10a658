"""When the wait for films, and for what is made of them, ends."""

import pytest

from cxr_node.domain.study import Waiting
from cxr_node.domain.window import Announced, Window, films_due, results_due

WAITING = Waiting(settle=120, maximum=600)


@pytest.mark.parametrize(("last", "due"), [(0, 120), (100, 220), (500, 600), (900, 600)])
def test_the_wait_for_films_ends_after_a_pause_or_at_the_maximum(last: float, due: float) -> None:
    assert films_due(Window(0, last), Announced(), WAITING) == due


PA, LATERAL = "1.2.1", "1.2.2"


@pytest.mark.parametrize(
    ("announced", "due"),
    [
        (Announced(in_progress=True), 600),
        (Announced(True, frozenset({PA}), frozenset()), 600),  # another step is still being performed
        (Announced(False, frozenset({PA}), frozenset()), 100),
        (Announced(False, frozenset({PA, LATERAL}), frozenset({LATERAL})), 220),
        (Announced(False, frozenset({LATERAL}), frozenset()), 220),  # of films that were reported before
        (Announced(False, frozenset(), frozenset()), 220),
    ],
)
def test_what_x_ray_machines_say_ends_the_wait_or_prolongs_it(announced: Announced, due: float) -> None:
    assert films_due(Window(0, 100, frozenset({PA})), announced, WAITING) == due


@pytest.mark.parametrize(
    ("first_film", "first_result", "due"),
    [
        (0.0, None, None),  # nothing to report: however long it takes
        (0.0, 1.0, 601.0),
        (0.0, 7200.0, 7800.0),  # after an outage
        (7200.0, 1.0, 7800.0),  # its result was stored by a clock that was behind
        (None, 50.0, 650.0),  # an older film, judged at last
        (None, None, None),
    ],
)
def test_films_that_are_still_being_judged_have_the_maximum_from_the_first_result(
    first_film: float | None, first_result: float | None, due: float | None
) -> None:
    window = None if first_film is None else Window(first_film, first_film)
    assert results_due(window, first_result, WAITING) == due
