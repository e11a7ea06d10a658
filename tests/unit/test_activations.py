"""What a person wants of the model in service, and what was made of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cxr_node.store import activations, events
from cxr_node.store.activations import Activation, Wanted
from cxr_node.store.db import Tx
from tests.bench import NOON, opened

ONE = Activation("cxr-a", "1.0.0", "a" * 64, "jane", NOON)
TWO = Activation("cxr-a", "2.0.0", "b" * 64, "joe", NOON + 5)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    store = opened(tmp_path / "cxr-node.sqlite")
    with store.transaction() as tx:
        yield tx
    store.close()


def test_without_an_activation_the_configuration_decides(tx: Tx) -> None:
    assert activations.stack(tx) == ()
    assert activations.wanted(tx) is None


def test_what_is_wanted_becomes_true_when_it_is_made(tx: Tx) -> None:
    change = Wanted((ONE, TWO), "joe", NOON + 5)
    activations.want(tx, change)
    assert (activations.wanted(tx), activations.stack(tx)) == (change, ())
    activations.make(tx, change, TWO.digest, ONE.digest, NOON + 9)
    assert (activations.wanted(tx), activations.stack(tx)) == (None, (ONE, TWO))
    told = events.latest(tx, "model.activated")
    assert told is not None
    assert (told["version"], told["digest"], told["before"], told["by"]) == ("2.0.0", TWO.digest, ONE.digest, "joe")


def test_what_is_refused_changes_nothing(tx: Tx) -> None:
    change = Wanted((ONE,), "jane", NOON)
    activations.want(tx, change)
    activations.refuse(tx, change, "MODEL_UNAVAILABLE", "its process died", NOON + 1)
    assert (activations.wanted(tx), activations.stack(tx)) == (None, ())
    told = events.latest(tx, "model.not_activated")
    assert told is not None
    assert told["reason"] == "its process died"


def test_a_wish_of_before_is_forgotten_and_a_later_one_stays(tx: Tx) -> None:
    change = Wanted((ONE,), "jane", NOON)
    activations.want(tx, replace(change, at=NOON - 60))
    activations.make(tx, change, ONE.digest, "c" * 64, NOON)
    assert activations.wanted(tx) is None
    later = Wanted((ONE, TWO), "joe", NOON + 60)
    activations.want(tx, later)
    activations.make(tx, change, ONE.digest, "c" * 64, NOON)
    assert activations.wanted(tx) == later


def test_a_roll_back_to_the_configuration_says_so(tx: Tx) -> None:
    activations.make(tx, Wanted((), "jane", NOON), ONE.digest, TWO.digest, NOON)
    told = events.latest(tx, "model.activated")
    assert told is not None
    assert (told["model"], told["meaning"]) == (None, "as the configuration says")
