"""What every unit test leaves as it found it."""

import pytest
from pynetdicom import _config, dimse_messages


@pytest.fixture(autouse=True)
def reception(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener changes for its whole process how pynetdicom receives data sets; the next test begins without one."""
    monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", False)
    monkeypatch.setattr(dimse_messages, "NamedTemporaryFile", dimse_messages.NamedTemporaryFile)
