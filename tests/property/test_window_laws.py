"""Laws of the wait for documents, for whatever came and whatever was said of it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.study import Waiting
from cxr_node.domain.window import Announced, Window, films_due, results_due

SECONDS = st.floats(0, 1e6)
UIDS = st.frozensets(st.sampled_from(["1.1", "1.2", "1.3", "1.4"]))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    first = draw(SECONDS)
    return Window(first, first + draw(SECONDS), draw(UIDS))


@st.composite
def announcements(draw: st.DrawFn) -> Announced:
    listed = draw(UIDS)
    return Announced(draw(st.booleans()), listed, listed & draw(UIDS))


WAITINGS = st.builds(Waiting, settle=SECONDS, maximum=SECONDS)


@given(windows(), announcements(), WAITINGS)
def test_no_wait_for_films_is_longer_than_the_maximum(window: Window, said: Announced, waiting: Waiting) -> None:
    assert films_due(window, said, waiting) <= window.first + waiting.maximum


@given(windows(), announcements(), WAITINGS)
def test_what_machines_say_is_done_never_prolongs_the_wait(window: Window, said: Announced, waiting: Waiting) -> None:
    silent, done = films_due(window, Announced(), waiting), replace(said, in_progress=False)
    assert films_due(window, done, waiting) <= silent <= films_due(window, Announced(in_progress=True), waiting)


@given(windows(), announcements(), WAITINGS)
def test_a_film_that_is_missing_never_shortens_the_wait(window: Window, said: Announced, waiting: Waiting) -> None:
    more = replace(said, listed=said.listed | {"1.9"}, missing=said.missing | {"1.9"})
    assert films_due(window, more, waiting) >= films_due(window, said, waiting)


@given(windows(), SECONDS, WAITINGS)
def test_what_is_still_judged_has_the_maximum_from_the_first_result(
    window: Window, first_result: float, waiting: Waiting
) -> None:
    due = results_due(window, first_result, waiting)
    assert due is not None
    assert due >= first_result + waiting.maximum
    assert due >= films_due(window, Announced(in_progress=True), waiting)
    assert results_due(window, None, waiting) is None
