"""Security on paper: every threat names tests that exist, every package is reviewed, the bill of materials is true."""

import importlib.util
import json
import re
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import cxr_node

ROOT = Path(__file__).parents[2]
THREATS = (ROOT / "docs" / "security.md").read_text("utf-8")
REVIEWED = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
NOT_OURS = ("pip", "setuptools", "cuda-", "nvidia-", "triton")  # of every virtual environment, or of torch for a GPU
OURS_ALL_THE_SAME = {"nvidia-ml-py"}
FUNCTIONS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return {plain(name): at for name, _, at in (line.partition("==") for line in lines if "==" in line)}


def rows(text: str) -> list[list[str]]:
    """The cells of every row of the tables, without their headings."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in cells if row[0] not in ("package", "---")]


@pytest.fixture(scope="module")
def materials() -> dict[str, Any]:
    """The bill of materials, as `make sbom` writes it."""
    place = importlib.util.spec_from_file_location("sbom", ROOT / "tools" / "sbom.py")
    assert place is not None and place.loader is not None
    sbom = importlib.util.module_from_spec(place)
    place.loader.exec_module(sbom)
    return dict(json.loads(sbom.JsonV1Dot6(sbom.materials()).output_as_string()))


def names(materials: dict[str, Any]) -> set[str]:
    found = {plain(one["name"]) for one in materials["components"]}
    return {name for name in found if name in OURS_ALL_THE_SAME or not name.startswith(NOT_OURS)}


def test_every_defence_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", THREATS))
    assert named - FUNCTIONS == set()
    assert len(named) > 40


def test_every_threat_names_a_test() -> None:
    table = THREATS.partition("## Threats and defences")[2].partition("##")[0]
    without = [row[0] for row in rows(table) if row[0] != "threat" and "`test_" not in row[2]]
    assert without == []


def test_every_pin_is_reviewed() -> None:
    assert {plain(row[0]): row[1] for row in rows(REVIEWED)} == pins()


def test_every_review_says_what_for_under_which_licence_and_when() -> None:
    for package, _, licence, purpose, day in rows(REVIEWED):
        assert licence, package
        assert purpose, package
        assert date(2026, 1, 1) <= date.fromisoformat(day), package


def test_what_runs_in_a_node_is_pinned(materials: dict[str, Any]) -> None:
    node = REVIEWED.partition("## In a node")[2].partition("\n## ")[0]
    listed = {plain(row[0]) for row in rows(node)}
    assert names(materials) <= pins().keys()
    assert listed == names(materials)


def test_what_is_installed_is_what_is_pinned(materials: dict[str, Any]) -> None:
    installed = {name: version(name).partition("+")[0] for name in names(materials)}
    assert installed == {name: pins()[name] for name in installed}


def test_the_bill_of_materials_is_valid(materials: dict[str, Any]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(materials)) is None
    assert (materials["bomFormat"], materials["specVersion"]) == ("CycloneDX", "1.6")
    subject = materials["metadata"]["component"]
    assert (subject["name"], subject["version"]) == ("cxr-node", cxr_node.__version__)
    assert {"pydicom", "pynetdicom", "torch"} <= names(materials)
    assert all(one["version"] and one["purl"].startswith("pkg:pypi/") for one in materials["components"])
    needs = {one["ref"]: one.get("dependsOn", []) for one in materials["dependencies"]}
    assert {"pydicom", "pynetdicom", "torch"} <= set(needs["cxr-node"])
    assert "networkx" in needs["torch"]


def test_make_writes_the_bill_of_materials() -> None:
    recipe = re.search(r"^sbom: .*\n\t(.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe
    assert "tools/sbom.py > dist/" in recipe[1]
