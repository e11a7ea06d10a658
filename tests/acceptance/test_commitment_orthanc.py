"""Storage commitment with Orthanc: it commits to our documents, and as a modality it asks us for films."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.films import chest
from tests.node import Node, wait_for
from tests.orthanc import Orthanc

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Orthanc]]:
    """A node, and an Orthanc that is its PACS and may also ask it for commitment."""
    folder = tmp_path_factory.mktemp("pair")
    with Orthanc(folder) as orthanc:
        machine = {"ae_title": "PACS", "host": "127.0.0.1", "port": orthanc.port}
        with Node(
            folder,
            destinations=[orthanc.destination(storage_commitment="auto", commitment_seconds=0.3)],
            modalities=[machine],
            receive__storage_commitment="pacs",
            receive__commitment_wait_seconds=3.0,
        ) as node:
            yield node, orthanc


def deliveries(node: Node, study: str) -> list[tuple[str, str | None]]:
    return [(one["state"], one["confirmed_by"]) for one in node.study(study).get("deliveries", [])]


def report(orthanc: Orthanc, *films: Any) -> dict[str, Any]:
    """Have Orthanc ask the node for these films; what it was told."""
    names = [{"SOPClassUID": film.SOPClassUID, "SOPInstanceUID": film.SOPInstanceUID} for film in films]
    asked = orthanc.get("/modalities/node/storage-commitment", {"DicomInstances": names})

    def answered() -> dict[str, Any] | None:
        found: dict[str, Any] = orthanc.get(asked["Path"])
        return found if found["Status"] != "Pending" else None

    return wait_for(answered, what="a report to Orthanc")


def test_what_a_pacs_never_reports_on_since_it_does_not_know_us_is_looked_for(pair: tuple[Node, Orthanc]) -> None:
    node, _ = pair
    film = chest()
    node.send(film)
    wait_for(
        lambda: deliveries(node, film.StudyInstanceUID) == [("sent", "query")] * 2, what="documents that are found"
    )
    node.wait_idle()
    assert node.logged("commitment.overdue")


def test_report_and_heat_map_are_committed(pair: tuple[Node, Orthanc]) -> None:
    node, orthanc = pair
    orthanc.knows("node", "CXR_NODE", node.port)
    film = chest()
    node.send(film)
    wait_for(lambda: deliveries(node, film.StudyInstanceUID) == [("committed", "commitment")] * 2, what="committed")
    node.wait_idle()
    assert orthanc.modalities(film.StudyInstanceUID) == ["OT", "SR"]
    shown = node.command("study", str(film.StudyInstanceUID)).stdout
    assert shown.count("committed,") == 2


def test_a_machine_may_delete_what_the_pacs_holds_and_nothing_else(pair: tuple[Node, Orthanc]) -> None:
    node, orthanc = pair
    orthanc.knows("node", "CXR_NODE", node.port)
    kept, lost = chest(), chest()
    orthanc.store(node.written(kept))
    node.send(kept, lost)
    assert report(orthanc, kept)["Status"] == "Success"
    found = report(orthanc, kept, lost)
    assert found["Status"] == "Failure"
    assert [one["SOPInstanceUID"] for one in found["Success"]] == [kept.SOPInstanceUID]
    assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in found["Failures"]] == [
        (lost.SOPInstanceUID, 0x0112)
    ]
    node.wait_idle()
