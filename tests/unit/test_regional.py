"""What a node knows of its hub, and a hub of its sites: `status`, `check`, and the look for what is asked."""

import re
from pathlib import Path
from typing import Any

from cxr_node import hub_checks, tables, views
from cxr_node.config import Config
from cxr_node.dicomweb.client import Server
from cxr_node.dicomweb.workitems import Workitems
from cxr_node.domain.clock import iso
from cxr_node.domain.priority import Priority
from cxr_node.domain.region import Asked
from cxr_node.errors import Transient
from cxr_node.regional import INFORM, HubWatch, region_of
from cxr_node.store import events, jobs, reading, sites
from cxr_node.store.db import Store
from tests.bench import Bench, study_uid
from tests.hub import READER, come

URL = "http://127.0.0.1:9/dicom-web"


def node(folder: Path, mode: str = "full") -> Config:
    return Config.model_validate({"node": {"data_dir": folder, "mode": mode}, "hub": {"url": URL}})


def hub(folder: Path) -> Config:
    tokens = {"web": {"tokens": str(folder / "tokens")}}
    return Config.model_validate(
        {"node": {"data_dir": folder, "role": "hub"}, "hub": {"sites": ["north", "south"]}, **tokens}
    )


def test_a_node_says_how_far_its_hub_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    now = bench.clock()
    assert region_of(node(tmp_path), bench.store, now) == {
        "hub": {"reached_at": None, "behind": 0, "behind_seconds": 0.0}, "sites": [],
    }  # fmt: skip
    come(bench, 1, now - 40)
    with bench.store.transaction() as tx:
        sites.reached(tx, now - 5)
    assert region_of(node(tmp_path), bench.store, now)["hub"] == {
        "reached_at": iso(now - 5), "behind": 1, "behind_seconds": 40.0,
    }  # fmt: skip
    assert region_of(node(tmp_path, "shadow"), bench.store, now)["hub"] is None
    assert region_of(Config(), bench.store, now)["hub"] is None
    shown = tables.status(views.status(node(tmp_path), bench.store, now, call=False))
    assert "; to be told of 1 study" in shown


def test_a_hub_says_of_each_site_when_it_was_heard_of(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    now = bench.clock()
    come(bench, 1, now)
    with bench.store.transaction() as tx:
        sites.heard(tx, "north", now - 299)
        tx.execute("UPDATE worklist_entry SET site = 'north'")
        reading.prioritise(tx, study_uid(1), Priority.STAT, READER, now)
    silent = {"name": "south", "heard_at": None, "silent": True, "open": 0, "asked": 0}
    north = {"name": "north", "heard_at": iso(now - 299), "silent": False, "open": 1, "asked": 1}
    assert region_of(hub(tmp_path), bench.store, now) == {"hub": None, "sites": [north, silent]}
    assert region_of(hub(tmp_path), bench.store, now + 2)["sites"][0]["silent"]
    shown = tables.status(views.status(hub(tmp_path), bench.store, now, call=False))
    assert re.search(r"south +never +silent +0 +0", shown)


class Answering(Workitems):
    """A hub that asks for something, or nothing, or does not answer, as its name says."""

    def asked(self) -> dict[str, Asked]:
        if self.server.name == "away":
            raise Transient("UNREACHABLE", "no connection with the hub")
        return {study_uid(1): Asked("1.2", None, "ana", 1.0, 0)} if self.server.name == "asking" else {}


def at(name: str) -> Answering:
    return Answering(Server(name, URL))


def test_a_hub_that_asks_or_is_back_is_something_to_do(tmp_path: Path) -> None:
    store = Bench(tmp_path).store
    watch = HubWatch(store, at("asking"))
    assert watch.look(0.0)  # it is there
    assert not watch.look(0.5)  # what it asks for is of a study that is not here
    come(Bench(tmp_path), 1, 0.0)
    for now, name, anything, reached in (
        (1.0, "away", False, 0.5), (2.0, "well", True, 2.0), (3.0, "well", False, 3.0), (4.0, "asking", True, 4.0),
        (5.0, "asking", True, 5.0), (6.0, "away", False, 5.0), (7.0, "well", True, 7.0),
    ):  # fmt: skip
        watch.at = at(name)
        assert watch.look(now) is anything
        with store.reading() as tx:
            assert sites.reached_at(tx) == reached
    with store.reading() as tx:
        assert jobs.counts(tx)["inform"]["ready"] == 1


def test_a_job_that_waits_for_the_hub_waits_no_longer_when_that_is_back(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "cxr-node.sqlite")
    with store.transaction() as tx:
        jobs.enqueue(tx, [INFORM], 1.0)
        (job,) = jobs.claim(tx, "inform", "one", 1.0, 300.0)
        jobs.retry(tx, job, 60.0, 1.0, error_code="UNREACHABLE", error="no connection with the hub")
        assert not jobs.is_due(tx, "inform", 2.0)
    watch = HubWatch(store, at("away"))
    watch.look(2.0)
    watch.at = at("well")
    for _ in range(2):
        watch.look(3.0)
        with store.reading() as tx:
            assert jobs.is_due(tx, "inform", 3.0)


def looked(config: Config, now: float, *, offline: bool = False) -> dict[str, Any]:
    return {subject: (verdict, text) for verdict, subject, text in hub_checks.look(config, now, offline=offline)}


def test_nothing_is_said_of_a_hub_where_there_is_none(tmp_path: Path) -> None:
    assert looked(Config.model_validate({"node": {"data_dir": tmp_path}}), 0.0) == {}


def test_a_hub_that_is_away_or_not_told_is_named(tmp_path: Path) -> None:
    assert looked(node(tmp_path), 0.0)["hub"][0] == "failed"
    assert looked(node(tmp_path), 0.0, offline=True)["hub"] == ("note", "not called (--offline)")
    assert looked(node(tmp_path, "shadow"), 0.0)["hub"] == ("note", "is told nothing, since the mode is shadow")


def test_sites_that_are_silent_are_named(tmp_path: Path) -> None:
    assert {verdict for verdict, _ in looked(hub(tmp_path), 0.0).values()} == {"warning"}
    bench = Bench(tmp_path)
    with bench.store.transaction() as tx:
        sites.heard(tx, "north", 1000.0)
        events.append(tx, 1000.0, "node.started", None)
    assert looked(hub(tmp_path), 1060.0)["site north"] == ("ok", "heard of 1 min ago; 0 studies of it are open")
    found = looked(hub(tmp_path), 1000.0 + 3600)
    assert found["site north"] == ("warning", "silent for 60 min; 0 studies of it are open, as they stood then")
    assert found["site south"][1].startswith("has never come")
