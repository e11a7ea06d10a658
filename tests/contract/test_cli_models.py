"""`cxr-node models` as people and scripts meet it."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cxr_node import cli, config
from cxr_node.plan import Plan, open_store
from tests.bench import Bench
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


@pytest.fixture
def stopped(folder: Path) -> Path:
    """A node that has been started once and stands still, with its data in `var`."""
    Bench(folder / "var").store.close()
    return folder


def test_without_a_node_another_model_is_put_in_service_for_its_next_start(stopped: Path) -> None:
    found = run("models", "activate", "cxr-a:1.1.0")
    assert (found.exit_code, found.stdout) == (0, "cxr-a 1.1.0 is in service from the node's next start on\n")
    assert found.stderr == f"RESTRICTED: {RESTRICTION}\n"
    said = run("check", "--offline").stdout
    assert "model: cxr-a 1.1.0" in said
    assert re.search(r"activated by \S+ at \d{4}-", said)
    status = json.loads(run("status", "--json").stdout)
    assert status["model"] == "cxr-a 1.1.0"
    assert set(status["activated"]) == {"by", "at"}
    again = run("models", "activate", "cxr-a:1.1.0")
    assert (again.exit_code, again.stdout) == (0, "cxr-a 1.1.0 is in service already\n")


def test_each_roll_back_takes_one_activation_off(stopped: Path) -> None:
    for name in ("cxr-a:1.1.0", "cxr-a:1.0.0"):
        assert run("models", "activate", name).exit_code == 0
    assert run("models", "rollback").stdout.startswith("cxr-a 1.1.0 is in service")
    assert run("models", "rollback").stdout.startswith("cxr-a 1.0.0 is in service")
    found = run("models", "rollback")
    assert found.exit_code == 1
    assert found.stderr.startswith("NO_ACTIVATION: no model was activated")
    with open_store(config.load(stopped / "node.toml"), create=False).reading() as tx:
        told = [row["detail"] for row in tx.rows("SELECT detail FROM event WHERE event = 'model.activated'")]
    assert [json.loads(each)["version"] for each in told] == ["1.1.0", "1.0.0", "1.1.0", None]
    assert all(json.loads(each)["by"] for each in told)


def test_what_cannot_serve_is_not_put_in_service(stopped: Path) -> None:
    assert run("models", "activate", "cxr-z").exit_code == 78
    (stopped / "node.toml").write_text(
        '[model]\nname = "cxr-a"\nversion = "1.0.0"\ndirectory = "models"\nthresholds = { x = 0.5 }\n'
    )
    found = run("models", "activate", "cxr-a:1.1.0")
    assert found.exit_code == 78
    assert "finds 'covid19', not 'x', and no other model here does" in found.stderr
    damaged = stopped / "models" / "cxr-a" / "1.1.0" / "weights.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    found = run("models", "activate", "cxr-a:1.1.0")
    assert (found.exit_code, found.stderr.split(":")[0]) == (1, "MODEL_DIGEST")


def test_a_build_that_was_replaced_after_its_activation_is_told(stopped: Path) -> None:
    assert run("models", "activate", "cxr-a:1.1.0").exit_code == 0
    metadata = stopped / "models" / "cxr-a" / "1.1.0" / "configs" / "metadata.json"
    metadata.write_text(metadata.read_text() + " ")
    found = run("check", "--offline").stdout
    assert "failed  model: The model cxr-a 1.1.0, which" in found
    assert "is another build than it was then" in found


def test_a_prevalence_is_of_what_it_says_or_of_the_model_that_is_named(stopped: Path) -> None:
    text = '[model]\nname = "cxr-a"\nversion = "1.0.0"\ndirectory = "models"\nshadow = ["cxr-a:1.1.0"]\n'
    for stated, expected in (("0.1", {"pneumonia": 0.1}), ("{ covid19 = 0.05 }", {"covid19": 0.05})):
        (stopped / "node.toml").write_text(f"{text}prevalence = {stated}\n")
        plan = Plan.of(config.load(stopped / "node.toml"))
        assert {m.finding: p for m in (plan.manifest, *plan.shadows) if (p := plan.prevalence_of(m))} == expected
        assert Plan.of(plan.pinned()).prevalence_of(plan.shadows[0]) == expected.get("covid19")
    (stopped / "node.toml").write_text(f"{text}prevalence = 1.5\n")
    assert "model.prevalence: a prevalence lies between 0 and 1" in run("check", "--offline").stderr
    (stopped / "node.toml").write_text(f"{text}prevalence = {{ measles = 0.5 }}\n")
    assert "model.prevalence: cxr-a 1.0.0 finds 'pneumonia', not 'measles'" in run("check", "--offline").stdout


def test_models_beside_the_one_in_service_are_looked_at(stopped: Path) -> None:
    text = '[model]\nname = "cxr-a"\nversion = "1.0.0"\ndirectory = "models"\nshadow = ["cxr-a:1.1.0", "cxr-b"]\n'
    (stopped / "node.toml").write_text(text)
    said = run("check", "--offline")
    assert said.exit_code == 0
    assert "ok      shadow cxr-a:1.1.0: digest" in said.stdout
    assert "warning shadow cxr-b: There is no model cxr-b" in said.stdout
    (stopped / "node.toml").write_text('[model]\nshadow = ["../x"]')
    assert run("check", "--offline").exit_code == 78
