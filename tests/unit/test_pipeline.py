"""The table of the flow, and that it can be put together from what the roles give it."""

from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cxr_node.config import Config
from cxr_node.domain.job import NewJob
from cxr_node.pipeline import PIPELINE, Step, assemble
from cxr_node.plan import Plan, open_store
from cxr_node.roles import ROLES
from cxr_node.stages.stage import Stage
from cxr_node.store import jobs
from cxr_node.worker import Lane
from cxr_node.workstations import hub_of

KINDS = [step.kind for step in PIPELINE]
RIS = [{"name": name, "host": "ris.example.org", "message": name[:3].upper()} for name in ("oru", "omi")]
PEERS = [{"name": name, "ae_title": "PACS", "host": "pacs.example.org"} for name in ("pacs", "archive")]


def config(folder: Path, **more: Any) -> Config:
    receive = {"storage_commitment": "archive"}
    return Config.model_validate(
        {
            "node": {"data_dir": folder, "mode": "full"},
            "receive": receive,
            "destination": PEERS,
            "worklist": {"hl7": RIS},
            **more,
        }
    )


def resolved(step: Step) -> type[Stage]:
    module, _, name = step.stage.partition(":")
    stage: type[Stage] = getattr(import_module(f"cxr_node.stages.{module}"), name)
    return stage


def test_every_kind_stands_in_it_once() -> None:
    assert len(KINDS) == len(set(KINDS))


@pytest.mark.parametrize("step", PIPELINE, ids=KINDS)
def test_every_stage_is_there_and_every_successor_is_known(step: Step) -> None:
    assert issubclass(resolved(step), Stage)
    assert set(step.then) <= set(KINDS)


def test_every_kind_is_reached_from_what_receiving_begins() -> None:
    reached = {"analyse", "compare", "settle", "confirm", "tell", "lookup", "crosscheck", "inform"}
    while more := {then for step in PIPELINE if step.kind in reached for then in step.then} - reached:
        reached |= more
    assert reached == set(KINDS)


def test_leases_outlast_every_retry_step() -> None:
    assert all(step.lease > step.retry.ceiling for step in PIPELINE)


def test_what_may_work_later_is_tried_for_days() -> None:
    assert all(step.retry.attempts * step.retry.ceiling / 2 > 24 * 3600 for step in PIPELINE)


@pytest.mark.parametrize("role", ["work", "infer", "shadow"])
def test_a_role_gives_every_field_of_its_stages_and_a_lane_for_every_kind(tmp_path: Path, role: str) -> None:
    peer = {"ae_title": "PEER1", "host": "192.0.2.1"}
    asked = {"worklist": {"ris": peer, "hl7": RIS}, "corrections": {"pacs": peer}}
    asked["inference"] = {"decoders": 1}
    found = config(tmp_path, subscriber=[peer], hub={"url": "https://hub.example.org/dicom-web"}, **asked)
    store = open_store(found)
    part = ROLES[role](Plan.of(found), store)  # type: ignore[index]
    stages = assemble(role, part.values)  # type: ignore[arg-type]
    assert set(stages) == {step.kind for step in PIPELINE if step.role == role}
    assert {kind for lane in part.lanes for kind in lane.kinds} == set(stages)
    for step, stage in stages.values():
        assert type(stage) is resolved(step)
        assert all(getattr(stage, field.name) is part.values[field.name] for field in fields(stage))  # type: ignore[arg-type]
    part.close()
    store.close()


def test_few_lanes_are_for_however_many_subscribers(tmp_path: Path) -> None:
    many = [{"ae_title": f"VIEWER{number}", "host": "192.0.2.1"} for number in range(200)]
    found = config(tmp_path, subscriber=many)
    store = open_store(found)
    lanes = [lane for lane in ROLES["work"](Plan.of(found), store).lanes if lane.kinds == ("tell",)]
    assert 1 < len(lanes) < 10
    store.close()


def test_every_destination_has_a_lane_of_its_own(tmp_path: Path) -> None:
    found = config(tmp_path)
    store = open_store(found)
    lanes = ROLES["work"](Plan.of(found), store).lanes
    assert lanes[1:-1] == [
        *(
            Lane(f"{kind} {name}", (kind,), target=name)
            for kind in ("deliver", "commit")
            for name in ("pacs", "archive")
        ),
        *(Lane(f"transmit {name}", ("transmit",), target=name) for name in ("oru", "omi")),
    ]
    store.close()


def test_what_waits_for_a_destination_that_is_gone_has_a_lane_too(tmp_path: Path) -> None:
    found = config(tmp_path)
    store = open_store(found)
    with store.transaction() as tx:
        jobs.enqueue(
            tx,
            [NewJob(kind, "1.2", name) for kind in ("deliver", "commit", "transmit") for name in ("pacs", "gone")],
            0.0,
        )
    lanes = ROLES["work"](Plan.of(found), store).lanes
    assert [lane for lane in lanes if lane.target == "gone"] == [
        Lane("deliver gone", ("deliver",), target="gone"),
        Lane("commit gone", ("commit",), target="gone"),
        Lane("transmit gone", ("transmit",), target="gone"),
    ]
    assert len(lanes) == 12
    store.close()


def test_in_shadow_no_hub_is_told(tmp_path: Path) -> None:
    for mode, told in (("shadow", False), ("triage", True), ("full", True)):
        node, hub = {"data_dir": tmp_path, "mode": mode}, {"url": "https://hub.example.org/dicom-web"}
        assert (hub_of(config(tmp_path, node=node, hub=hub)) is not None) is told
