"""What is asked of a node's state: whether it listens, without calling it."""

import socket
from pathlib import Path

import pytest

from cxr_node import views
from cxr_node.config import Config


def config(folder: Path, port: int) -> Config:
    return Config.model_validate({"node": {"data_dir": folder}, "receive": {"port": port}})


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_node_that_listens_is_seen_and_not_called(tmp_path: Path, family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as listening:
        listening.bind((host, 0))
        port = listening.getsockname()[1]
        assert not views.answers(config(tmp_path, port)), "a port that is taken is not yet one that is listened at"
        listening.listen()
        assert views.answers(config(tmp_path, port))
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert not views.answers(config(tmp_path, port))
