"""Fixtures for tests of a whole node, and the option that makes the faults many."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.node import Node
from tests.orthanc import Orthanc

settings.register_profile("tests", deadline=None)  # that the machine is busy is no finding
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="every fault as often as docs/reliability.md says: hours")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether a fault is to be made as often as it takes to be sure, and not only to see that it is borne."""
    return bool(request.config.getoption("long"))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node without destinations that listens and soon analyses."""
    with Node(tmp_path) as running:
        yield running


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """A PACS; tests that ask for it carry the marker `peers`."""
    with Orthanc(tmp_path) as running:
        yield running
