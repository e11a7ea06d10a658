"""Fixtures for tests of a whole node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node import Node
from tests.orthanc import Orthanc


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
