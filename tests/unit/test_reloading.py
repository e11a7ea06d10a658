"""What a running node makes of a changed configuration."""

from pathlib import Path

import pytest

from cxr_node.config import Config
from cxr_node.errors import ConfigError
from cxr_node.reloading import MAY_CHANGE, reread

PACS = {"name": "pacs", "ae_title": "PACS", "host": "10.1.2.3"}
BACKUP = {"name": "backup", "ae_title": "BACKUP", "host": "10.1.2.4"}


def config(**tables: object) -> Config:
    return Config.model_validate(tables)


def test_nothing_changed_is_the_same_configuration() -> None:
    now = config(destination=[PACS], eligibility={"modalities": ["DX", "CR"]})
    found = reread(now, config(destination=[PACS], eligibility={"modalities": ["CR", "DX"]}))
    assert found.config is now
    assert (found.changed, found.waiting) == ((), ())


def test_destinations_and_thresholds_take_effect_and_a_port_waits() -> None:
    now = config(destination=[PACS], receive={"port": 104})
    wanted = config(
        destination=[PACS, BACKUP],
        receive={"port": 105},
        model={"thresholds": {"pneumonia": 0.4}},
        node={"mode": "full"},
    )
    found = reread(now, wanted)
    assert found.changed == ("model.thresholds", "destination")
    assert found.waiting == ("node.mode", "receive.port")
    assert [each.name for each in found.config.destination] == ["pacs", "backup"]
    assert found.config.model.thresholds == {"pneumonia": 0.4}
    assert (found.config.receive.port, found.config.node.mode) == (104, "shadow")


def test_what_may_change_must_fit_what_may_not() -> None:
    now = config(destination=[PACS], receive={"storage_commitment": "pacs"})
    with pytest.raises(ConfigError, match=r"receive\.storage_commitment: no \[\[destination\]\] is named 'pacs'"):
        reread(now, config(destination=[BACKUP]))


@pytest.mark.parametrize("name", sorted(MAY_CHANGE))
def test_what_may_change_is_a_key_and_operations_names_it(name: str) -> None:
    table, _, key = name.partition(".")
    dumped = Config().model_dump()
    assert table in dumped
    assert not key or key in dumped[table]
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    assert f"`[{table}] {key}`" in page or f"`[[{name}]]`" in page
