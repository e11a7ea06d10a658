"""What the process that sends is made of: whatever leaves is asked for in that moment."""

import time
from pathlib import Path
from typing import Any

import pytest

from cxr_node import auditing, working
from cxr_node.config import Config
from cxr_node.dimse.sender import Peer
from cxr_node.domain.workitem import State
from cxr_node.errors import Transient
from cxr_node.plan import Plan
from cxr_node.store import events
from tests.bench import NOON, Bench

NOWHERE = Peer("pacs", "PACS", "pacs.invalid", 104)
LEAVES = {
    "send": (NOWHERE, Path("document.dcm")),
    "exchange": (None, b"message"),
    "notify": (NOWHERE, "1.2", ()),
    "tell": (NOWHERE, ()),
}
"""What brings something out of the node, and what it is called with."""
HUB = {"url": "https://hub.invalid/dicom-web"}
TOLD = {"create": ("1.2", {}), "update": ("1.2", {}, None), "move": ("1.2", State.COMPLETED, "1.3")}
"""What changes something at a hub, and what it is called with."""


def succeeded() -> None:
    raise Transient("LEASE_UNREADABLE", "who works cannot be read")


def values(folder: Path, **pair: Any) -> tuple[dict[str, Any], list[str]]:
    """What stages are made of, in a node that another one has succeeded; and what left it."""
    bench, left = Bench(folder), list[str]()
    config = Config.model_validate({"node": {"data_dir": folder, "mode": "full"}, "pair": pair, "hub": HUB})

    class Courier:
        def send(self, peer: Peer, _: Path) -> int:
            left.append(peer.name)
            return 0x0000

    common = {"spool": bench.spool, "store": bench.store, "clock": time.time}
    return working.values(Plan.of(config), bench.store, common, Courier(), succeeded), left


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_nothing_leaves_a_node_that_has_been_succeeded(tmp_path: Path, name: str) -> None:
    found, left = values(tmp_path, name="north")
    with pytest.raises(Transient, match="who works"):
        found[name](*LEAVES[name])
    assert left == []


@pytest.mark.parametrize("name", sorted(TOLD))
def test_nothing_is_changed_at_its_hub(tmp_path: Path, name: str) -> None:
    found, _ = values(tmp_path, name="north")
    with pytest.raises(Transient, match="who works"):  # and not that the hub is away
        getattr(found["hub"], name)(*TOLD[name])


def test_no_audit_message_leaves_it(tmp_path: Path) -> None:
    trail = tmp_path / "audit.jsonl"
    with Bench(tmp_path / "data").store.transaction() as tx:
        events.append(tx, NOON, "audit.read", None, by="jane")
    told = {"node": {"data_dir": tmp_path / "data"}, "audit": {"file": trail}}
    (exporter,) = auditing.exporters(Config.model_validate(told), succeeded)
    with pytest.raises(Transient, match="who works"):
        exporter.turn()
    assert not trail.exists()


def test_a_node_alone_asks_no_destination_for_what_it_may_have_sent(tmp_path: Path) -> None:
    alone, _ = values(tmp_path / "alone")
    one_of_two, _ = values(tmp_path / "two", name="north")
    assert alone["has"] is None
    assert one_of_two["has"] is not None
