"""A disk that fails under a running node: full, broken or read-only, for its files, its database or all at once.

The sender is told that the film was not taken, or the film waits; when the disk is well again, everything goes on by
itself.
"""

import errno
from collections.abc import Callable, Iterator

import pytest

from tests.fault.shim import Shim
from tests.films import chest
from tests.node import Node, wait_for

pytestmark = pytest.mark.fault

Record = Callable[[str, object], None]

FULL, BROKEN, READ_ONLY = errno.ENOSPC, errno.EIO, errno.EROFS
ALL = (FULL, BROKEN, READ_ONLY)
REFUSALS = {0xA700, 0x0110}  # out of resources; our own fault


@pytest.fixture(scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Shim]]:
    folder = tmp_path_factory.mktemp("disk")
    shim = Shim(folder)
    with Node(folder, environment=shim.environment) as node:
        yield node.analysing(), shim


@pytest.fixture
def pair(_pair: tuple[Node, Shim]) -> Iterator[tuple[Node, Shim]]:
    """A node and what makes its disk fail. Afterwards nothing is left half done."""
    node, shim = _pair
    yield node, shim
    shim.clear()
    assert not node.files("incoming")
    assert {entry["state"] for entry in node.worklist()} == {"analysed"}
    assert not node.rows("SELECT * FROM job WHERE state = 'failed'")


RECEIVING = {
    "a part cannot be made": ("create", "incoming/tmp*", BROKEN),
    "a part cannot be written": ("write", "incoming/tmp*", FULL),
    "a part cannot be synced": ("sync", "incoming/tmp*", BROKEN),
    "a film gets no name": ("rename", "films/*", READ_ONLY),
    "a film's folder cannot be synced": ("sync", "films/??", BROKEN),
    "the database cannot be written": ("write", "*.sqlite*", FULL),
    "the database cannot be synced": ("sync", "*.sqlite*", BROKEN),
    "nothing can be written": ("[!os]*", "*", READ_ONLY),
}
"""What fails and how; the long run has each fail in each way."""


@pytest.mark.parametrize(("call", "pattern", "error"), RECEIVING.values(), ids=RECEIVING.keys())
def test_while_a_film_is_received(
    pair: tuple[Node, Shim], call: str, pattern: str, error: int, *, long: bool, record_property: Record
) -> None:
    node, shim = pair
    ways = ALL if long else (error,)
    for way in ways:
        film = chest()
        shim.rule(call, pattern, error=way)

        (answer,) = node.store(film)

        assert answer.Status in REFUSALS
        assert node.echoes()
        shim.clear()
        node.send(film)
        (study,) = node.wait_final(film.StudyInstanceUID)
        assert len(study["instances"]) == 1
        assert [output["kind"] for output in study["outputs"]] == ["sr", "sc"]
    record_property("times", len(ways))


WORKING = {
    "a film cannot be read": ("open", "films/*.dcm", BROKEN),
    "a picture cannot be written": ("write", "incoming/*.png*", FULL),
    "a picture gets no name": ("rename", "pictures/*", READ_ONLY),
    "a document cannot be written": ("write", "incoming/2.25.*", FULL),
    "a document cannot be synced": ("sync", "incoming/2.25.*", BROKEN),
    "the outbox cannot be synced": ("sync", "outbox", BROKEN),
}


@pytest.mark.parametrize(("call", "pattern", "error"), WORKING.values(), ids=WORKING.keys())
def test_while_a_film_is_worked_on(
    pair: tuple[Node, Shim], call: str, pattern: str, error: int, *, long: bool, record_property: Record
) -> None:
    node, shim = pair
    ways = ALL if long else (error,)
    for way in ways:
        film = chest()
        rule = shim.rule(call, pattern, error=way)

        node.send(film)

        wait_for(lambda: shim.count(rule) >= 2, what="a second try")  # noqa: B023 - it is called in this round
        shim.clear()
        (study,) = node.wait_final(film.StudyInstanceUID)
        assert [output["kind"] for output in study["outputs"]] == ["sr", "sc"]
    record_property("times", len(ways))
