"""What follows from what the gate's network reads: refusals with their reasons, flags, and films set right."""

from dataclasses import replace

import pytest

from cxr_node.domain.eligibility import Refusal
from cxr_node.domain.quality import Flag, Limits, Reading, View, assess, grade

LIMITS = Limits(
    lateral=0.1, no_chest=0.8, frontal=0.9, inverted=0.8, turned=0.8, cropped=0.8, distance=1.2
)  # fmt: skip
SOUND = Reading(
    views={"frontal": 0.98, "lateral": 0.01, "other": 0.01, "blank": 0.0},
    turns={0: 1.0, 90: 0.0, 180: 0.0, 270: 0.0},
    inverted=0.0,
    cropped=0.0,
    distance=0.9,
)  # fmt: skip


def seen(view: View, probability: float, **changes: object) -> Reading:
    """A reading in which a view has this probability, and the frontal one the rest."""
    views: dict[View, float] = {"frontal": 0.0, "lateral": 0.0, "other": 0.0, "blank": 0.0, view: probability}
    views["frontal"] = views["frontal"] or 1 - probability
    return replace(SOUND, views=views, **changes)  # type: ignore[arg-type]


def judged(as_it_is: Reading, set_right: Reading = SOUND) -> Refusal | tuple[Flag, ...]:
    found = assess(lambda inverted: set_right if inverted else as_it_is, LIMITS)
    return found if isinstance(found, Refusal) else found[1]


def code(as_it_is: Reading, set_right: Reading = SOUND) -> str:
    found = judged(as_it_is, set_right)
    assert isinstance(found, Refusal)
    return found.code


def test_a_sound_film_is_let_in_without_a_word() -> None:
    assert judged(SOUND) == ()


@pytest.mark.parametrize(
    ("view", "expected"), [("blank", "BLANK"), ("lateral", "LATERAL"), ("other", "NOT_CHEST")]
)  # fmt: skip
def test_a_view_is_refused_from_its_limit_on_and_flagged_below(view: View, expected: str) -> None:
    limit = {"lateral": LIMITS.lateral}.get(view, LIMITS.no_chest)
    assert code(seen(view, limit)) == expected
    assert judged(seen(view, 0.99 * limit)) == ((Flag.UNSURE,) if limit > 0.5 else ())


def test_a_film_of_which_blank_and_no_chest_are_likely_together_is_refused() -> None:
    empty = replace(SOUND, views={"frontal": 0.01, "lateral": 0.01, "other": 0.33, "blank": 0.65})
    assert code(empty) == "BLANK"


def test_a_film_is_called_what_is_likelier_of_lateral_and_no_chest() -> None:
    leg = replace(SOUND, views={"frontal": 0.05, "lateral": 0.2, "other": 0.7, "blank": 0.05})
    assert code(leg) == "NOT_CHEST"
    side = replace(SOUND, views={"frontal": 0.6, "lateral": 0.3, "other": 0.1, "blank": 0.0})
    assert code(side) == "LATERAL"


def test_a_reason_tells_the_probability_cut_and_not_rounded_up() -> None:
    found = judged(seen("lateral", 0.999))
    assert isinstance(found, Refusal)
    assert found.reason == "The pixels show a lateral view, not a frontal one (gate: 0.99)."


@pytest.mark.parametrize(
    ("reading", "flag"),
    [
        (replace(SOUND, turns={0: 0.1, 90: 0.9, 180: 0.0, 270: 0.0}), Flag.TURNED_90),
        (replace(SOUND, turns={0: 0.1, 90: 0.0, 180: 0.9, 270: 0.0}), Flag.TURNED_180),
        (replace(SOUND, turns={0: 0.1, 90: 0.0, 180: 0.0, 270: 0.9}), Flag.TURNED_270),
        (replace(SOUND, cropped=0.8), Flag.CROPPED),
        (replace(SOUND, distance=1.2), Flag.UNUSUAL),
    ],
)
def test_faults_that_a_model_can_live_with_are_flagged(reading: Reading, flag: Flag) -> None:
    assert judged(reading) == (flag,)
    assert grade((flag,)) == "limited"


def test_a_film_that_is_turned_a_little_likelier_than_not_is_not_flagged() -> None:
    assert judged(replace(SOUND, turns={0: 0.3, 90: 0.7, 180: 0.0, 270: 0.0})) == ()


def test_a_film_that_is_a_chest_when_set_right_is_set_right_and_flagged() -> None:
    assert judged(replace(SOUND, inverted=0.9)) == (Flag.INVERTED,)
    assert judged(seen("other", 0.9, inverted=0.9)) == (Flag.INVERTED,)


def test_a_film_that_is_no_chest_either_way_is_refused() -> None:
    assert code(replace(SOUND, inverted=0.9), seen("lateral", 0.5)) == "INVERTED"
    assert code(seen("other", 0.9, inverted=0.9), seen("other", 0.9)) == "NOT_CHEST"


def test_a_blank_film_is_blank_whatever_else_it_looks_like() -> None:
    assert code(seen("blank", 0.9, inverted=0.9)) == "BLANK"


def test_without_a_gate_nothing_is_said_of_the_quality() -> None:
    assert (grade(None), grade(())) == (None, "diagnostic")
