"""`cxr-node models` as people and scripts meet it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cxr_node import cli
from tests.models import CLASSES, small_model

RESTRICTION = "Trained on films for non-commercial use."


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two models, one of them restricted, in `models`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CXR_NODE_CONFIG", raising=False)
    small_model(tmp_path / "models", "cxr-a")
    small_model(tmp_path / "models", "cxr-a", "1.1.0", restriction=RESTRICTION, **CLASSES)
    (tmp_path / "node.toml").write_text('[model]\nname = "cxr-a"\ndirectory = "models"\n')
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, [*arguments, "-c", "node.toml"])


def test_a_restricted_model_says_so_wherever_it_is_shown() -> None:
    restricted, plain = run("models", "list").stdout.splitlines()
    assert restricted.startswith("cxr-a 1.1.0")
    assert restricted.endswith(f"RESTRICTED: {RESTRICTION}")
    assert "RESTRICTED" not in plain
    assert run("models", "show", "cxr-a:1.1.0").stdout.startswith(f"RESTRICTED: {RESTRICTION}")
    assert "RESTRICTED" not in run("models", "show", "cxr-a").stdout


def test_check_warns_of_a_restricted_model_that_the_site_has_named(folder: Path) -> None:
    found = run("check", "--offline").stdout
    assert "ok      model: cxr-a 1.0.0" in found
    (folder / "node.toml").write_text('[model]\nname = "cxr-a"\nversion = "1.1.0"\ndirectory = "models"\n')
    found = run("check", "--offline").stdout
    assert "warning model: cxr-a 1.1.0" in found
    assert RESTRICTION in found


def test_every_form_is_verified() -> None:
    found = run("models", "verify")
    assert found.exit_code == 0, found.stderr
    assert found.stdout.count("not a released model") == 2
