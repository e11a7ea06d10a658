"""An X-ray machine that reports its procedure steps to a real node: when documents leave, and when they do not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.fault.peer import Destination
from tests.films import change, chest, lateral
from tests.modality import Modality, begun, ended
from tests.node import Node, wait_for

HOUR = 3600


@pytest.fixture
def pacs() -> Iterator[Destination]:
    with Destination() as destination:
        yield destination


@pytest.fixture
def node(tmp_path: Path, pacs: Destination) -> Iterator[Node]:
    """A node that by itself would wait for an hour. Every film counts as positive."""
    patience = {"study__settle_seconds": HOUR, "study__max_wait_seconds": 2 * HOUR}
    with Node(tmp_path, destinations=[pacs.table], model__thresholds={"pneumonia": 0.0001}, **patience) as running:
        yield running


def test_a_report_leaves_when_the_step_is_completed_and_nothing_when_it_was_begun_wrongly(
    node: Node, pacs: Destination
) -> None:
    right, wrong = chest(), chest()
    side = change(lateral(), StudyInstanceUID=right.StudyInstanceUID, PatientID=right.PatientID)
    step, mistaken = generate_uid(), generate_uid()
    with Modality(node.port) as modality:
        assert modality.create(step, begun(right.StudyInstanceUID)).Status == 0x0000
        assert modality.create(mistaken, begun(wrong.StudyInstanceUID)).Status == 0x0000
    node.kill()
    node.start()
    node.send(right, wrong)
    node.send(side)
    wait_for(lambda: len(node.rows("SELECT 1 FROM result")) == 2, what="results")
    assert not pacs.asked

    with Modality(node.port) as modality:
        assert modality.create(step, begun(right.StudyInstanceUID)).Status == 0x0111
        assert modality.set(step, ended("COMPLETED", right, side)).Status == 0x0000
        assert modality.set(mistaken, ended("DISCONTINUED", wrong, reason="110514")).Status == 0x0000
        assert modality.set(step, ended("COMPLETED")).Status == 0x0110

    wait_for(lambda: len(pacs.taken) == 2, what="a report and a heat map at the destination")
    node.wait_idle()
    study, withdrawn = node.study(right.StudyInstanceUID), node.study(wrong.StudyInstanceUID)
    (settled,) = [event for event in study["events"] if event["event"] == "study.settled"]
    assert (settled["images"], settled["pending"]) == (2, 0)
    assert [one["state"] for one in study["steps"]] == ["COMPLETED"]
    assert withdrawn["state"] == "withdrawn"
    assert withdrawn["outputs"] == []
    assert {"step.discontinued", "study.withdrawn", "study.not_reported"} <= {e["event"] for e in withdrawn["events"]}
    assert withdrawn["steps"][0]["reason"].endswith("incorrect worklist entry selected")
    assert [entry["study_instance_uid"] for entry in node.worklist()] == [right.StudyInstanceUID]
    assert node.logged("study.withdrawn")
    assert wrong.StudyInstanceUID not in node.log()
    assert not node.logged("step.fault")
