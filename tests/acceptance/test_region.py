"""A hub and two nodes as processes: one list, whoever is killed when; the nodes' own lists as they would be alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests import films
from tests.node import Node, free_port, wait_for

Region = dict[str, Node]


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Region]:
    port = free_port()
    hub = Node(
        tmp_path / "hub", node__role="hub", hub__sites=["north", "south"], web__enabled=True, web__port=port,
        web__tokens=str(tmp_path / "tokens"),
    )  # fmt: skip
    nodes = {"hub": hub}
    for name in ("north", "south"):
        made = hub.command("token", "add", name, "--role", "reader")
        assert made.returncode == 0, made.stderr
        login = tmp_path / f"{name}.login"
        login.write_text(f"Bearer {made.stdout.strip()}\n")
        url = f"http://127.0.0.1:{port}/dicom-web"
        nodes[name] = Node(tmp_path / name, hub__url=url, hub__authorization=str(login))
    try:
        for node in nodes.values():
            node.start()
        yield nodes
    finally:
        for node in nodes.values():
            node.close()


def listed(node: Node) -> list[tuple[str, str, str | None]]:
    return [(entry["study_instance_uid"], entry["state"], entry["priority"]) for entry in node.worklist()]


def in_step(region: Region) -> bool:
    """Whether the hub has what the nodes have, each study with its site, and all in one order."""
    found = region["hub"].worklist()
    for name in ("north", "south"):
        if [(e["study_instance_uid"], e["state"], e["priority"]) for e in found if e["site"] == name] != listed(
            region[name]
        ):
            return False
    return len(found) == sum(len(region[name].worklist()) for name in ("north", "south"))


def test_a_hub_has_one_list_of_two_sites_whoever_dies(region: Region, tmp_path: Path) -> None:
    hub, north, south = region["hub"], region["north"], region["south"]
    for node in (north, south):
        node.send(*(films.chest() for _ in range(2)))
    wait_for(lambda: len(hub.worklist()) == 4 and in_step(region), what="a list of two sites")
    assert {entry["site"] for entry in hub.worklist()} == {"north", "south"}

    hub.kill()
    hub.kill("")
    north.send(*(films.chest() for _ in range(2)))
    last = north.worklist()[-1]["study_instance_uid"]
    assert north.command("priority", last, "stat").returncode == 0
    assert south.command("read", south.worklist()[0]["study_instance_uid"]).returncode == 0
    north.kill("work")
    south.kill()
    south.kill("")
    hub.start()
    south.start()
    wait_for(lambda: len(hub.worklist()) == 5 and in_step(region), what="the hub to be told what it missed")
    assert hub.worklist()[0]["study_instance_uid"] == last
    created = hub.rows("SELECT creator, count(*) AS n FROM workitem GROUP BY creator")
    assert {row["creator"]: row["n"] for row in created} == {"north": 4, "south": 2}

    token = (tmp_path / "north.login").read_text().strip()
    answer = httpx2.get(f"http://127.0.0.1:{hub.config.web.port}/api/worklist", headers={"Authorization": token})
    assert [entry["site"] for entry in answer.json()] == [entry["site"] for entry in hub.worklist()]
    refused = hub.command("read", last)
    assert refused.returncode == 1
    assert "the study is at north" in refused.stderr

    told = json.loads(north.command("worklist", "--json").stdout)
    assert [entry["site"] for entry in told] == [None] * 4
    again = north.command("retell")
    assert "told of 4 studies again" in again.stdout, again.stderr
    wait_for(lambda: in_step(region), what="the same list, told anew")
    for node in region.values():
        assert not any(entry["patient_id"] in node.log() for entry in north.worklist() if entry["patient_id"])
