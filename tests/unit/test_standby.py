"""Who may wait for a turn, before anything is waited for."""

from pathlib import Path

import pytest

from cxr_node import standby
from cxr_node.config import Config
from cxr_node.errors import ConfigError

INIT, ANOTHER = 1, 4711


def config(folder: Path, **more: object) -> Config:
    return Config.model_validate({"node": {"data_dir": folder / "node"}, **more})


@pytest.mark.parametrize("process", [INIT, ANOTHER])
def test_a_node_alone_waits_for_nobody_and_leaves_nothing(tmp_path: Path, process: int) -> None:
    assert standby.turn(config(tmp_path), process) is None
    assert list(tmp_path.iterdir()) == []


def test_the_first_process_of_a_container_is_none_of_a_pair(tmp_path: Path) -> None:
    """The kernel spares it whatever comes from within the container, a timer's SIGKILL too."""
    with pytest.raises(ConfigError, match=r"with an init of its own \(--init\)"):
        standby.turn(config(tmp_path, pair={"name": "north"}), INIT)


def test_what_could_not_be_worked_by_is_told_before(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model"):
        standby.turn(config(tmp_path, pair={"name": "north"}, model={"name": "cxr-none"}), ANOTHER)
    assert list(tmp_path.iterdir()) == []
