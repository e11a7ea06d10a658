"""Where each value came from, so that nobody has to guess why a node does what it does."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cxr_node import cli
from cxr_node.config import Config
from cxr_node.config.origin import DEFAULT, Value, effective
from cxr_node.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(
        """
        [node]
        mode = "full"
        [receive]
        port = 104
        [[destination]]
        name = "pacs"
        ae_title = "PACS"
        host = "10.1.2.3"
        [[worklist.hl7]]
        name = "ris"
        host = "10.1.2.9"
        """
    )
    return path


def by_key(values: list[Value]) -> dict[str, tuple[object, str]]:
    return {each.key: (each.value, each.origin) for each in values}


def test_file_environment_and_defaults_are_told_apart(file: Path) -> None:
    found = by_key(effective(file, {"CXR_NODE__RECEIVE__PORT": "11113", "CXR_NODE__LOG__LEVEL": "debug"}))
    assert found["node.mode"] == ("full", str(file))
    assert found["node.language"] == ("en", DEFAULT)
    assert found["receive.port"] == (11113, "CXR_NODE__RECEIVE__PORT")
    assert found["log.level"] == ("debug", "CXR_NODE__LOG__LEVEL")
    assert found["destination.pacs.host"] == ("10.1.2.3", str(file))
    assert found["destination.pacs.port"] == (104, DEFAULT)
    assert found["worklist.hl7.ris.host"] == ("10.1.2.9", str(file))
    assert found["worklist.hl7.ris.message"] == ("ORU", DEFAULT)


def test_every_key_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = by_key(effective(None, {}))
    wanted = {
        f"{table}.{key}" for table, keys in Config().model_dump().items() if isinstance(keys, dict) for key in keys
    }
    assert found.keys() == wanted
    assert {origin for _, origin in found.values()} == {DEFAULT}


def test_a_mistake_is_told_as_everywhere(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"receive\.port"):
        effective(file, {"CXR_NODE__RECEIVE__PORT": "0"})


def test_the_command_shows_what_is_stated_and_with_effective_all(file: Path) -> None:
    stated = CliRunner().invoke(cli.main, ["config", "show", "-c", str(file)]).output.splitlines()
    assert [line.split()[0] for line in stated] == [
        "node.mode", "receive.port", "destination.pacs.name", "destination.pacs.ae_title", "destination.pacs.host",
        "worklist.hl7.ris.name", "worklist.hl7.ris.host",
    ]  # fmt: skip
    every = CliRunner().invoke(cli.main, ["config", "show", "--effective", "-c", str(file)]).output
    assert f'node.mode = "full"  # {file}' in every
    assert 'node.language = "en"  # default' in every
    assert len(every.splitlines()) > 100


def test_nothing_configured_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "every key has its default" in CliRunner().invoke(cli.main, ["config", "show"]).output
