"""A small region: nodes die, and the hub, while people say what is urgent; `make soak` has the large one."""

from pathlib import Path

import pytest

from tests.soak.region import region

pytestmark = pytest.mark.fault


def test_nothing_is_lost_and_there_is_one_order_whoever_dies(tmp_path: Path) -> None:
    outcome = region(tmp_path, sites=3, studies=30, seed=1)
    assert outcome.failures == [], "\n".join(outcome.lines)
