"""Trying again, as a pure function of attempt and chance."""

from hypothesis import given
from hypothesis import strategies as st

from cxr_node.domain.job import RetryPolicy, next_delay

policies = st.builds(
    RetryPolicy, base=st.floats(0.01, 100), ceiling=st.floats(100, 10_000), attempts=st.integers(1, 5000)
)
chance = st.floats(0, 1, exclude_max=True)


@given(policies, st.integers(1, 5000), chance)
def test_a_delay_lies_between_half_the_step_and_the_step(policy: RetryPolicy, attempt: int, drawn: float) -> None:
    delay = next_delay(policy, attempt, lambda: drawn)
    if attempt >= policy.attempts:
        assert delay is None
    else:
        step = min(policy.ceiling, policy.base * 2.0 ** (attempt - 1)) if attempt < 1000 else policy.ceiling
        assert delay is not None
        assert step / 2 <= delay <= step


@given(policies, chance)
def test_every_attempt_that_is_allowed_is_made(policy: RetryPolicy, drawn: float) -> None:
    allowed = [n for n in range(1, policy.attempts + 2) if next_delay(policy, n, lambda: drawn) is not None]
    assert len(allowed) == policy.attempts - 1


def test_the_step_doubles_up_to_the_ceiling() -> None:
    policy = RetryPolicy(base=2.0, ceiling=10.0, attempts=9)
    assert [next_delay(policy, n, lambda: 0.0) for n in range(1, 6)] == [1.0, 2.0, 4.0, 5.0, 5.0]
