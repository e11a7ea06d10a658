"""A real Prometheus beside a real node: each panel of the dashboard has something to show, and each rule is healthy."""

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cxr_node.caring import MACHINES
from cxr_node.plan import open_store
from cxr_node.store import settings
from cxr_node.watching import DRIFT
from tests.certificates import Authority
from tests.films import chest
from tests.node import Node, free_port, wait_for
from tests.orthanc import Orthanc
from tests.prometheus import PROMETHEUS, Prometheus
from tests.ris import Ris

MONITORING = Path(__file__).parents[2] / "config" / "monitoring"
pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(PROMETHEUS is None, reason="Debian's prometheus is not installed"),
]
WITHOUT_GPU = {"GPU memory", "GPU use"}


def panels() -> dict[str, list[str]]:
    """The expressions of each panel, as Grafana asks with all nodes chosen."""
    found: list[dict[str, Any]] = json.loads((MONITORING / "cxr-node.grafana.json").read_text("utf-8"))["panels"]
    return {one["title"]: [each["expr"].replace("$instance", ".*") for each in one["targets"]] for one in found}


def let_time_pass(node: Node) -> None:
    """What a node finds after minutes, about its machines, and after days, about its model."""
    with closing(open_store(node.config)) as store, store.transaction() as tx:
        silent = {"name": "ROOM1", "films": 30, "first": 1.0, "last": 2.0, "expected": 3.0, "silent": False}
        moved = {"model": "m 1", "machine": "all", "measure": "mean", "psi": 0.05, "verdict": "stable"}
        settings.put(tx, MACHINES, [silent])
        settings.put(tx, DRIFT, [moved])


def test_every_panel_has_something_to_show_and_no_alarm_is_raised(tmp_path: Path, orthanc: Orthanc) -> None:
    port, hospital = free_port(), Authority(tmp_path, "hospital")
    own = hospital.issue("node")
    with (
        Ris() as ris,
        Node(
            tmp_path / "node",
            destinations=[orthanc.destination()],
            told=[ris.table(message="ORU")],
            web__enabled=True,
            web__port=port,
            receive__allowed_ae_titles=["MODALITY"],
            audit__file=str(tmp_path / "audit.xml"),
            tls__certificate=own.certificate,
            tls__key=own.key,
            tls__ca=hospital.pem,
            tls__listener=False,
        ) as node,
        Prometheus(tmp_path, f"127.0.0.1:{port}", MONITORING / "cxr-node.rules.yml") as prometheus,
    ):
        node.analysing()
        wait_for(lambda: prometheus.query('up{job="cxr-node"} == 1'), what="a scrape")
        node.send(chest(), chest())
        with node.association(calling="STRANGER") as refused:
            assert not refused.is_established
        node.wait_idle()
        let_time_pass(node)

        def empty() -> dict[str, list[str]]:
            found = {title: [one for one in asked if not prometheus.query(one)] for title, asked in panels().items()}
            return {title: asked for title, asked in found.items() if asked and title not in WITHOUT_GPU}

        wait_for(lambda: not empty(), what="data for every panel")
        rules = prometheus.rules()
        assert len(rules) == len(re.findall(r"- alert:", (MONITORING / "cxr-node.rules.yml").read_text("utf-8")))
        assert {name for name, rule in rules.items() if rule["health"] != "ok"} == set()
        assert {name for name, rule in rules.items() if rule["state"] == "firing"} == set()
