"""One node to a folder; who asks whether there is one does not keep it from starting."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cxr_node.errors import ConfigError
from cxr_node.lock import is_held, only_one

HOLD = """
import sys
from pathlib import Path
from cxr_node.lock import only_one

with only_one(Path(sys.argv[1])):
    input()
"""


def test_a_folder_that_no_node_has_used_is_not_held(tmp_path: Path) -> None:
    assert not is_held(tmp_path)


def test_it_is_held_while_a_node_runs(tmp_path: Path) -> None:
    with only_one(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(ConfigError, match="another node is running"), only_one(tmp_path):
            pass
        assert is_held(tmp_path), "who could not have it does not end it"
    assert not is_held(tmp_path)


def test_it_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE) as holder:
        for _ in range(2000):
            if is_held(tmp_path):
                break
            threading.Event().wait(0.05)
        assert is_held(tmp_path)
        holder.kill()
    assert not is_held(tmp_path)


def test_asking_takes_no_lock(tmp_path: Path) -> None:
    """A node that starts at any moment of a question finds the folder free."""
    with only_one(tmp_path):
        pass
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            is_held(tmp_path)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    try:
        for _ in range(2000):
            with only_one(tmp_path):
                pass
    finally:
        stop.set()
        for thread in asking:
            thread.join()
