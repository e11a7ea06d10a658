"""What is told of callers that were refused: nothing is left out because the database was busy."""

from pathlib import Path

import pytest

from cxr_node.domain.intake import Refusal
from cxr_node.errors import Transient
from cxr_node.store.db import Store
from tests.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def refusal(calling: str = "CT1", times: int = 1) -> Refusal:
    return Refusal("association.rejected", "10.0.0.1", calling, "full", times)


def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    def transaction(_: Store) -> None:
        raise Transient("DATABASE_BUSY", "the database stayed busy")

    monkeypatch.setattr(Store, "transaction", transaction)


def told(bench: Bench) -> list[tuple[str, float]]:
    rows = bench.rows("SELECT time, detail FROM event WHERE event = 'association.rejected' ORDER BY sequence")
    return [(row["detail"], row["time"]) for row in rows]


def test_a_refusal_is_recorded_at_once(bench: Bench) -> None:
    bench.turned_away.note(refusal(times=3))
    assert told(bench) == [
        ('{"address": "10.0.0.1", "calling": "CT1", "reason": "full", "times": 3}', bench.clock()),
    ]
    bench.turned_away.record()
    assert len(told(bench)) == 1


def test_what_comes_while_the_database_is_busy_is_recorded_later_as_of_its_time(bench: Bench) -> None:
    at = bench.clock()
    with pytest.MonkeyPatch.context() as monkeypatch:
        busy(monkeypatch)
        bench.turned_away.note(refusal("CT1"))
        bench.clock.turn(5)
        bench.turned_away.note(refusal("CT2"))
        bench.turned_away.record()
    assert told(bench) == []
    bench.clock.turn(60)
    bench.turned_away.record()
    assert [('"CT1"' in detail, '"CT2"' in detail, time - at) for detail, time in told(bench)] == [
        (True, False, 0),
        (False, True, 5),
    ]


def test_the_next_refusal_brings_the_earlier_ones_along(bench: Bench) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        busy(monkeypatch)
        bench.turned_away.note(refusal("CT1"))
    bench.turned_away.note(refusal("CT2"))
    assert ['"CT1"' in detail for detail, _ in told(bench)] == [True, False]


def test_what_waits_is_bounded_and_the_newest_stays(bench: Bench) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        busy(monkeypatch)
        for number in range(1200):
            bench.turned_away.note(refusal(f"CT{number}"))
    bench.turned_away.record()
    details = [detail for detail, _ in told(bench)]
    assert len(details) == 1000
    assert '"CT1199"' in details[-1]
