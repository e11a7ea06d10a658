"""The audit trail as evidence: what somebody did to it is found, and what was removed in order stays proved."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr_node.errors import Permanent
from cxr_node.store import events, trail
from cxr_node.store.db import Tx
from tests.bench import NOON, opened

KEY, OTHER = b"k" * 32, b"o" * 32
DAY = 86400.0
LAST_START = 5


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    """Eight events, a day apart; the node started with the first and with the fifth."""
    store = opened(tmp_path / "node.sqlite")
    with store.transaction() as tx:
        for number in range(1, 9):
            name = "node.started" if number in (1, LAST_START) else "study.settled"
            events.append(tx, NOON + number * DAY, name, f"1.2.{number}", number=number, name="Ñandú")
        yield tx
    store.close()


def cut(tx: Tx, before: float, key: bytes = KEY, targets: tuple[str, ...] = ()) -> trail.Removal | None:
    return trail.truncate(tx, NOON + before * DAY, key, by="jane", now=NOON + 30 * DAY, targets=targets)


def exported(tx: Tx, sequence: int, target: str = "syslog") -> None:
    (row,) = tx.rows("SELECT * FROM event WHERE sequence = ?", (sequence,))
    trail.advance(tx, target, row)


def test_a_trail_that_nobody_touched_is_intact(tx: Tx) -> None:
    found = trail.verify(tx, None)
    assert (found.broken, found.events, found.first, found.last, found.seal) == (None, 8, 1, 8, "none")
    assert trail.broken_in_tail(tx, 3) is None


def test_an_empty_trail_is_intact(tmp_path: Path) -> None:
    with opened(tmp_path / "node.sqlite").transaction() as tx:
        found = trail.verify(tx, None)
        assert (found.broken, found.events, found.last) == (None, 0, None)
        assert trail.broken_in_tail(tx, 3) is None


@pytest.mark.parametrize(
    ("tampering", "broken"),
    [
        ("UPDATE event SET detail = '{}' WHERE sequence = 3", 3),
        ("UPDATE event SET time = time + 1 WHERE sequence = 3", 3),
        ("UPDATE event SET event = 'study.unchanged' WHERE sequence = 3", 3),
        ("UPDATE event SET study_instance_uid = '1.2.9' WHERE sequence = 3", 3),
        ("UPDATE event SET study_instance_uid = NULL WHERE sequence = 3", 3),
        ("UPDATE event SET hash = '' WHERE sequence = 3", 3),
        ("DELETE FROM event WHERE sequence = 3", 3),
        ("DELETE FROM event WHERE sequence IN (3, 4)", 3),
        ("DELETE FROM event WHERE sequence = 1", 1),
        ("UPDATE event SET sequence = CASE sequence WHEN 3 THEN 30 ELSE 3 END WHERE sequence IN (3, 4)", 3),
        ("UPDATE event SET sequence = 0 WHERE sequence = 8", 0),
    ],
)
def test_tampering_is_found_where_it_begins(tx: Tx, tampering: str, broken: int) -> None:
    assert tx.execute(tampering) >= 1
    found = trail.verify(tx, None)
    assert found.broken == broken
    assert found.meaning.startswith(f"event {broken}: ")
    assert trail.broken_in_tail(tx, 100) == broken


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_tail_is_looked_at_alone(tx: Tx, rows: int) -> None:
    tx.execute("UPDATE event SET detail = '{}' WHERE sequence = 7")
    assert trail.broken_in_tail(tx, rows) == (None if rows == 1 else 7)


@pytest.mark.parametrize("tampering", ["DELETE FROM event WHERE sequence > 6", "UPDATE audit_cursor SET hash = 'x'"])
def test_what_had_been_exported_cannot_be_taken_from_the_end(tx: Tx, tampering: str) -> None:
    exported(tx, 8)
    assert trail.verify(tx, None).broken is None
    tx.execute(tampering)
    found = trail.verify(tx, None)
    assert found.broken in (7, 8)
    assert "exported to syslog" in found.meaning


def test_old_events_are_removed_and_the_rest_is_still_proved(tx: Tx) -> None:
    removal = cut(tx, 3.5)
    assert removal is not None
    assert (removal.through, removal.count, removal.by) == (3, 3, "jane")
    assert (removal.first_time, removal.last_time) == (NOON + DAY, NOON + 3 * DAY)

    found = trail.verify(tx, KEY)
    assert (found.broken, found.first, found.last, found.seal) == (None, 4, 9, "valid")
    assert trail.verify(tx, None).seal == "unchecked"
    assert trail.broken_in_tail(tx, 100) is None


def test_a_second_removal_seals_the_first(tx: Tx) -> None:
    cut(tx, 2.5)
    removal = cut(tx, 4.5)
    assert removal is not None
    assert (removal.through, removal.count, removal.first_time) == (4, 4, NOON + DAY)
    assert trail.verify(tx, KEY).seal == "valid"


def test_a_seal_of_another_key_proves_nothing(tx: Tx) -> None:
    cut(tx, 3.5, OTHER)
    found = trail.verify(tx, KEY)
    assert (found.seal, found.broken) == ("invalid", 9)


def test_more_than_was_sealed_cannot_be_removed(tx: Tx) -> None:
    cut(tx, 3.5)
    tx.execute("DELETE FROM event WHERE sequence = 4")
    assert trail.verify(tx, KEY).broken == 4


def test_a_removal_without_its_row_is_no_removal(tx: Tx) -> None:
    cut(tx, 3.5)
    tx.execute("DELETE FROM event WHERE event = 'audit.truncated'")
    assert trail.verify(tx, KEY).broken == 1


def test_a_removal_that_says_nothing_seals_nothing(tx: Tx) -> None:
    cut(tx, 3.5)
    tx.execute("UPDATE event SET detail = '[' WHERE event = 'audit.truncated'")
    assert trail.verify(tx, KEY).broken == 1
    assert trail.broken_in_tail(tx, 100) == 1


def test_the_events_of_the_running_node_stay(tx: Tx) -> None:
    removal = cut(tx, 100)
    assert removal is not None
    assert removal.through == LAST_START - 1
    assert cut(tx, 100) is None


def test_nothing_older_means_nothing_removed(tx: Tx) -> None:
    assert cut(tx, 0) is None
    assert trail.verify(tx, KEY).last == 8


def test_what_was_not_exported_is_not_removed(tx: Tx) -> None:
    exported(tx, 2)
    with pytest.raises(Permanent, match="syslog") as refused:
        cut(tx, 3.5, targets=("syslog",))
    assert refused.value.code == "AUDIT_UNSENT"
    exported(tx, 3)
    assert cut(tx, 3.5, targets=("syslog",)) is not None
    assert trail.unsent(tx, "syslog") == 6
    assert trail.unsent(tx, "file") == 6
