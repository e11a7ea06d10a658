"""Fixtures for tests of a whole node, and the option that makes the faults many."""

import os
import socket
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import AssociationSocket

from cxr_node.dimse.checkpoint import Checkpoint
from tests.node import Node
from tests.orthanc import Orthanc

settings.register_profile("tests", deadline=None)  # that the machine is busy is no finding
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="every fault as often as docs/reliability.md says: hours")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where continuous integration runs them, no test is left out because a program that it needs is not installed."""
    report = yield
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    if report.skipped and reason.endswith("installed") and os.environ.get("CI") == "true":
        report.outcome, report.longrepr = "failed", f"{reason}; tests/run.sh installs what a test needs"
    return report


@pytest.fixture(scope="session", autouse=True)
def _peers_are_steady() -> Iterator[None]:
    """What the product mends of pynetdicom for itself, for the peers that tests make of it.

    It leaves a socket open whose peer was faster, or whose reader was stopped: a warning at some later time, and so a
    failed test that has nothing to do with it. And it loses answers on a busy machine (see `dimse.checkpoint`).
    """
    read, run = DULServiceProvider.run_reactor, Association.run

    def run_with_checkpoint(self: Association) -> None:
        Checkpoint.put_in(self)
        run(self)

    def run_reactor(self: DULServiceProvider) -> None:
        try:
            read(self)
        finally:
            if self.socket is not None:
                self.socket._shutdown_socket()

    def shutdown_socket(self: AssociationSocket) -> None:
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Association, "run", run_with_checkpoint)
        patch.setattr(DULServiceProvider, "run_reactor", run_reactor)
        patch.setattr(AssociationSocket, "_shutdown_socket", shutdown_socket)
        yield


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
