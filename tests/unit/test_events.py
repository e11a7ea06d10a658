"""Events: recorded in their order, and found again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr_node.store import events
from cxr_node.store.db import Store, Tx
from tests.bench import NOON


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    store = Store.open(tmp_path / "node.sqlite")
    with store.transaction() as tx:
        for number in range(1, 6):
            events.append(tx, NOON + number, "study.settled", f"1.2.{number % 2}", number=number, name="Ñandú")
        yield tx
    store.close()


def test_events_of_a_study_stand_in_their_order(tx: Tx) -> None:
    assert [event["number"] for event in events.of_study(tx, "1.2.1")] == [1, 3, 5]
    assert events.of_study(tx, "1.2.1")[0] == {
        "time": NOON + 1, "event": "study.settled", "number": 1, "name": "Ñandú"
    }  # fmt: skip


def test_the_latest_of_a_family(tx: Tx) -> None:
    events.append(tx, NOON, "infer.ready", None, device="cpu")
    events.append(tx, NOON, "infer.died", None, how="SIGKILL")
    events.append(tx, NOON, "inferno.ready", None)
    latest = events.latest(tx, "infer.")
    assert latest is not None
    assert (latest["event"], latest["how"]) == ("infer.died", "SIGKILL")
    assert events.latest(tx, "model.") is None
