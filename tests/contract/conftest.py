"""What tests of commands share."""

import pytest


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` need not ask torch for a GPU, which takes a process that loads it."""
    monkeypatch.setenv("CXR_NODE__INFERENCE__DEVICE", "cpu")
