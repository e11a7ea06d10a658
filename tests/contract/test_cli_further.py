"""`[model] further` as people and scripts meet it."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pydicom
import pytest

from cxr_node import config
from cxr_node.plan import Plan
from tests import films
from tests.contract.test_cli_models import RESTRICTION, folder, run, stopped
from tests.documents import values
from tests.models import CLASSES, small_model
from tests.toml import toml

pytestmark = pytest.mark.usefixtures("cpu")

__all__ = ["folder", "stopped"]


def stated(folder: Path, **keys: Any) -> None:
    """A configuration of `[model]` in which cxr-a 1.0.0 is in service."""
    known = {"name": "cxr-a", "version": "1.0.0", "directory": "models"} | keys
    (folder / "node.toml").write_text(toml({"model": known}, {}))


def test_further_models_are_looked_at(stopped: Path) -> None:
    beside = small_model(stopped / "models", "cxr-b", restriction=RESTRICTION, **CLASSES)
    stated(stopped, further=["cxr-b"])
    said = run("check", "--offline")
    assert said.exit_code == 0
    known = f"digest {beside.digest[:12]}, whole, and not a released model; for the report, positive from 0.500"
    assert f"warning further cxr-b:1.0.0: {known}." in said.stdout
    assert f"RESTRICTED: {RESTRICTION}" in said.stdout
    assert re.search(r"cxr-b 1\.0\.0  [0-9a-f]{12}  further  ", run("models", "list").stdout)
    status = json.loads(run("status", "--json").stdout)
    assert (status["further"], status["shadow"]) == ([{"model": "cxr-b:1.0.0", "reason": None}], [])
    assert "further       cxr-b:1.0.0" in run("status").stdout
    plan = Plan.of(config.load(stopped / "node.toml"))
    assert [(name, judging and judging.restricted) for name, judging in plan.consulting().items()] == [
        ("cxr-b 1.0.0", True)
    ]
    assert Plan.of(plan.pinned()).consulting() == plan.consulting()


def test_a_further_model_that_is_missing_or_damaged_fails_the_check(stopped: Path) -> None:
    stated(stopped, further=["cxr-b", "cxr-c:9.9.9"])
    small_model(stopped / "models", "cxr-b").weights.write_bytes(b"damaged")
    found = run("check", "--offline")
    assert found.exit_code == 1
    assert (
        "failed  further cxr-b:1.0.0: weights.safetensors of the model cxr-b 1.0.0 is not as released" in found.stdout
    )
    assert "failed  further cxr-c:9.9.9: There is no model cxr-c 9.9.9" in found.stdout
    assert Plan.of(config.load(stopped / "node.toml")).consulting()["cxr-c 9.9.9"] is None


def test_another_build_of_a_released_further_model_fails_the_check(stopped: Path) -> None:
    small_model(stopped / "models", "cxr-covid", **CLASSES)
    stated(stopped, further=["cxr-covid"])
    found = run("check", "--offline")
    assert found.exit_code == 1
    assert "failed  further cxr-covid:1.0.0: configs/metadata.json of the model cxr-covid 1.0.0 is not" in found.stdout


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"further": ["cxr-a:1.1.0"]}, "further: the model 'cxr-a' is in service already, as name"),
        ({"further": ["cxr-b", "cxr-b:1.0.0"]}, "further: the model 'cxr-b' is there twice"),
        ({"further": ["cxr-b"], "shadow": ["cxr-b"]}, "further and shadow both have 'cxr-b'"),
        ({"further": ["cxr-b@1.0.0"]}, "model.further"),
    ],
)
def test_two_of_the_same_model_are_refused(stopped: Path, keys: dict[str, Any], said: str) -> None:
    stated(stopped, **keys)
    found = run("check", "--offline")
    assert found.exit_code == 78
    assert said in found.stderr


def test_one_that_comes_into_service_is_no_further_one_any_more(stopped: Path) -> None:
    small_model(stopped / "models", "cxr-b", **CLASSES)
    stated(stopped, further=["cxr-b"])
    assert run("models", "activate", "cxr-b").exit_code == 0
    assert Plan.in_service(config.load(stopped / "node.toml")).consulting() == {}
    assert run("models", "rollback").exit_code == 0
    assert list(Plan.in_service(config.load(stopped / "node.toml")).consulting()) == ["cxr-b 1.0.0"]


def test_films_in_files_are_judged_by_further_models_too(folder: Path) -> None:
    films.write(films.chest(), folder / "film.dcm")
    small_model(folder / "models", "cxr-b", restriction=RESTRICTION, **CLASSES)
    stated(folder, gate="", further=["cxr-b"], thresholds={"covid19": 0.01})
    assert run("analyze", "film.dcm", "--out", "out").exit_code == 0
    (found,) = json.loads((folder / "out" / "results.json").read_text())
    (other,) = found["further"]
    assert (found["model"], other["model"], other["version"], other["reason"]) == ("cxr-a", "cxr-b", "1.0.0", None)
    assert (other["positive"], other["finding"], other["threshold"]) == (True, "covid19", 0.01)
    assert list(other["probabilities"]) == ["normal", "covid19", "other_pneumonia"]
    with (folder / "out" / "results.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert row["further.cxr-b.probability"] == str(other["probability"])
    report = pydicom.dcmread(folder / "out" / found["sr"])
    assert "cxr-b" in values(report, "111001")
    assert any("cxr-b 1.0.0 is a research model" in text for text in values(report, "121106"))


def test_a_further_model_that_is_missing_fails_the_command_and_no_film(folder: Path) -> None:
    films.write(films.chest(), folder / "film.dcm")
    small_model(folder / "models", "cxr-b").weights.write_bytes(b"damaged")
    stated(folder, gate="", further=["cxr-b", "cxr-c"])
    done = run("analyze", "film.dcm", "--out", "out")
    assert done.exit_code == 1
    assert "cxr-b:1.0.0 judges nothing: weights.safetensors" in done.stderr
    assert "cxr-c judges nothing: There is no model cxr-c" in done.stderr
    (found,) = json.loads((folder / "out" / "results.json").read_text())
    assert found["state"] == "analysed"
    assert {one["model"]: one["version"] for one in found["further"]} == {"cxr-b": "1.0.0", "cxr-c": None}
    report = pydicom.dcmread(folder / "out" / found["sr"])
    assert values(report, "111017") in (["111243"], ["111244"])
