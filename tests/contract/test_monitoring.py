"""The alert rules and the dashboard that come with the node: they ask for what it says, and for nothing else."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families

from cxr_node.caring import MACHINES
from cxr_node.domain.callers import Counts
from cxr_node.store import events, settings, tallies
from cxr_node.watching import DRIFT
from tests import prometheus
from tests.bench import NOON
from tests.web import Web

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "monitoring" / "cxr-node.rules.yml"
TROUBLE = ROOT / "tests" / "monitoring.test.yml"
DASHBOARD = ROOT / "config" / "monitoring" / "cxr-node.grafana.json"
METRIC = re.compile(r"\bcxr_node_[a-z_]+\b")
OF_PROMETHEUS = {"instance", "job", "le"}


@pytest.fixture
def exported(tmp_path: Path) -> dict[str, set[str]]:
    """By the name of each sample: its labels, from a node in which everything has happened once."""
    web = Web(tmp_path)
    with web.bench.store.transaction() as tx:
        tallies.took(tx, "analyse", 0.3)
        tallies.add(tx, "association.accepted", "ROOM1")
        tallies.add(tx, "association.rejected", "full")
        room = {"name": "ROOM1", "films": 3, "first": 1.0, "last": 2.0, "expected": 9.0, "silent": True}
        settings.put(tx, MACHINES, [room])
        moved = {"model": "m 1", "machine": "all", "measure": "mean", "psi": 0.3, "verdict": "moved_much"}
        settings.put(tx, DRIFT, [moved])
        events.append(tx, NOON, "node.started", None)
    text = web.client().get("/metrics").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        found[family.name] = set()
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return list(json.loads(DASHBOARD.read_text("utf-8"))["panels"])


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_an_expression_asks_for_what_there_is(expression: str, exported: dict[str, set[str]]) -> None:
    names = METRIC.findall(expression)
    assert names or expression.startswith("up{")
    assert [name for name in names if name not in exported] == []
    known = OF_PROMETHEUS.union(*(exported[name] for name in names))
    asked = set(re.findall(r"(\w+)=~?\"", expression))
    asked |= {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    asked -= {"quantile"}
    empty = {name for name in names if not exported[name]}
    assert asked <= known or empty, f"{asked - known} are no labels of {names}"


def test_what_a_row_is_called_is_a_label(exported: dict[str, set[str]]) -> None:
    for panel in panels():
        for target in panel["targets"]:
            of = set().union(*(exported[name] for name in METRIC.findall(target["expr"])))
            wanted = set(re.findall(r"{{(\w+)}}", target["legendFormat"])) - OF_PROMETHEUS
            assert wanted <= of or not of, (panel["title"], wanted - of)


def test_every_alarm_is_explained() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for rule in rules():
        assert f"| {rule['alert']} |" in page, rule["alert"]
        assert rule["annotations"]["runbook"].partition("#")[2] in anchors, rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_the_panels_have_room_and_numbers_of_their_own() -> None:
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found) > 20
    taken: set[tuple[int, int]] = set()
    for panel in found:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_grafana_knows_every_key_of_the_dashboard() -> None:
    """Read and written again as the types of Grafana's own schema (10.1): what it did not know would be missing."""
    register_default_plugins()
    written = json.loads(DASHBOARD.read_text("utf-8"))
    known = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(written)))
    assert lost(written, known) == []


def lost(written: Any, known: Any, path: str = "") -> list[str]:
    """Where `known`, which may say more, does not say what was `written`."""
    if isinstance(written, dict):
        return [each for key in written for each in lost(written[key], (known or {}).get(key), f"{path}/{key}")]
    if isinstance(written, list) and len(written) == len(known or []):
        return [each for i, one in enumerate(written) for each in lost(one, known[i], f"{path}/{i}")]
    return [] if written == known else [path]


@pytest.mark.skipif(prometheus.PROMTOOL is None, reason="Debian's prometheus is not installed")
@pytest.mark.parametrize("arguments", [("check", "rules", str(RULES)), ("test", "rules", str(TROUBLE))])
def test_prometheus_takes_the_rules_and_they_say_what_they_should(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([str(prometheus.PROMTOOL), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alarm_is_raised_in_trouble_and_silent_before() -> None:
    found = [test for group in yaml.safe_load(TROUBLE.read_text("utf-8"))["tests"] for test in group["alert_rule_test"]]
    alarms = {rule["alert"] for rule in rules()}
    assert {test["alertname"] for test in found if test["exp_alerts"]} == alarms
    assert {test["alertname"] for test in found if not test["exp_alerts"]} >= alarms


def test_the_first_break_of_the_trail_is_an_increase(tmp_path: Path) -> None:
    assert 'cxr_node_events_total{event="audit.broken"} 0.0' in Web(tmp_path).client().get("/metrics").text


def test_counts_are_taken_once_and_may_be_given_back() -> None:
    counts = Counts()
    counts.count("association.accepted", "ROOM1")
    counts.count("association.accepted", "ROOM1")
    taken = counts.take()
    assert dict(taken) == {("association.accepted", "ROOM1"): 2}
    assert not counts.take()
    counts.give_back(taken)
    counts.count("association.accepted", "ROOM1")
    assert dict(counts.take()) == {("association.accepted", "ROOM1"): 3}
