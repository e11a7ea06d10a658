"""A node that stands for all tests of a module, and must still answer after each of them."""

from collections.abc import Iterator

import pytest

from tests.node import Node, wait_for


@pytest.fixture(scope="module")
def _standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("standing"), receive__max_pdu=16384) as node:
        yield node


@pytest.fixture
def standing(_standing: Node) -> Iterator[Node]:
    """A node that analyses; whatever a test sends, it answers afterwards and has left no part behind."""
    yield _standing
    assert _standing.echoes()
    wait_for(lambda: not _standing.files("incoming"), what="an empty folder of parts")
    assert not _standing.logged("instance.fault")
