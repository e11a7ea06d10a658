"""Events: recorded in their order, and found again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr_node.locale import said
from cxr_node.message import Message
from cxr_node.store import events
from cxr_node.store.db import Tx
from tests.bench import NOON, opened


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    store = opened(tmp_path / "node.sqlite")
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


def test_messages_stand_in_english_and_come_back_as_they_were_made(tx: Tx) -> None:
    why, plain = Message("its process died ({how})", how="SIGKILL"), "no message"
    events.append(tx, NOON, "further.loaded", None, reason=why, lacking={"a:1.0.0": why, "b:1.0.0": plain})
    found = events.latest(tx, "further.")
    assert found is not None
    assert found["lacking"] == {"a:1.0.0": "its process died (SIGKILL)", "b:1.0.0": plain}
    assert [said(each, "es") for each in (found["reason"], *found["lacking"].values())] == [
        "su proceso murió (SIGKILL)", "su proceso murió (SIGKILL)", plain
    ]  # fmt: skip


def test_the_latest_of_a_family(tx: Tx) -> None:
    events.append(tx, NOON, "infer.ready", None, device="cpu")
    events.append(tx, NOON, "infer.died", None, how="SIGKILL")
    events.append(tx, NOON, "inferno.ready", None)
    latest = events.latest(tx, "infer.")
    assert latest is not None
    assert (latest["event"], latest["how"]) == ("infer.died", "SIGKILL")
    assert events.latest(tx, "model.") is None
