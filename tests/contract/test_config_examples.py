"""The example configurations: whole, valid, and in step with the keys that there are."""

import tomllib
from pathlib import Path

import pytest

from cxr_node import config
from cxr_node.config import Config
from cxr_node.inference import manifest
from cxr_node.plan import Plan, announcement

EXAMPLES = sorted((Path(__file__).parents[2] / "config" / "examples").glob("*.toml"))


def test_there_is_one_for_each_kind_of_site() -> None:
    assert [path.stem for path in EXAMPLES] == ["gpu", "hospital", "small-clinic"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_makes_a_plan(path: Path) -> None:
    found = config.load(path, {})
    plan = Plan.of(found)
    assert not plan.lineup.absent
    assert plan.judging().model_digest == manifest.find(None, "cxr-pneumonia").digest
    assert found.node.data_dir == Path("/var/lib/cxr-node")
    assert found.receive.allowed_networks
    assert found.retention.days


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_nothing_that_is_the_default_anyhow(path: Path) -> None:
    """But for what a reader looks for first: who the node is, and what it may do."""
    said, defaults = tomllib.loads(path.read_text("utf-8")), Config().model_dump()
    idle = [
        f"{table}.{key}"
        for table, keys in said.items()
        if isinstance(keys, dict)
        for key, value in keys.items()
        if table in defaults
        and defaults[table].get(key) == value
        and f"{table}.{key}" not in ("node.ae_title", "node.mode")
    ]
    assert idle == []


def test_they_are_different_sites() -> None:
    hospital = config.load(next(path for path in EXAMPLES if path.stem == "hospital"), {})
    assert [(each.name, each.mode) for each in hospital.destination] == [("pacs", None), ("research", "triage")]
    assert {each.message for each in hospital.worklist.hl7} == {"ORU", "OMI"}
    clinic = config.load(next(path for path in EXAMPLES if path.stem == "small-clinic"), {})
    assert "nothing is sent" not in announcement(hospital)
    assert "nothing is sent" in announcement(clinic)
