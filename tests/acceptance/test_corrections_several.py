"""Stories of docs/corrections.md about several orders in a study, several studies of an order, one film in two studies.

The films are sent by dcmtk's storescu, as an X-ray machine would.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from tests.acceptance.test_corrections import (
    PORT,
    delivered,
    kinds,
    listening,
    notes,
    patients,
    require_valid,
    started,
    state,
)
from tests.films import change, chest
from tests.node import Node, wait_for
from tests.orthanc import Orthanc
from tests.ris import message, order, say

pytestmark = pytest.mark.peers


@pytest.fixture
def site(tmp_path: Path, orthanc: Orthanc) -> Iterator[Node]:
    with started(tmp_path, orthanc, study__settle_seconds=1) as running:
        yield listening(running).analysing()


def storescu(node: Node, *films: FileDataset) -> None:
    paths = [str(node.written(film)) for film in films]
    command = ["/usr/bin/storescu", "-xe", "-aet", "XRAY1", "-aec", "CXR_NODE", "127.0.0.1", str(node.port), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def of_study(film: FileDataset, **other: str) -> FileDataset:
    """Another film of the same patient and study."""
    known = {"PatientID": film.PatientID, "PatientName": film.PatientName, "StudyInstanceUID": film.StudyInstanceUID}
    return change(chest(), **known | other)


def accessions(orthanc: Orthanc, film: FileDataset) -> list[str]:
    """The accession numbers of the reports that the PACS has of a study."""
    return sorted(one["AccessionNumber"] for one in orthanc.instances(film.StudyInstanceUID) if one["Modality"] == "SR")


def test_several_orders_in_one_study(site: Node, orthanc: Orthanc) -> None:
    first = chest(AccessionNumber="A1", PatientID="P1")
    second = of_study(first, AccessionNumber="A2")
    for number, accession in enumerate(("A1", "A2")):
        lines = ["ORC|NW|PL1", "OBR|1|PL1||XC^Chest^L", f"IPC|{accession}|RP1|{first.StudyInstanceUID}|SPS1"]
        say(PORT, message("OMI^O23^OMI_O23", f"n{number}", "PID|||P1", *lines))
    storescu(site, first, second)
    site.wait_final()
    assert state(site, first)[0] == "analysed"
    assert accessions(orthanc, first) == ["A1"]
    assert [entry["accession_number"] for entry in site.worklist()] == ["A1"]
    documents = delivered(site, first, "sr", "sc")

    say(PORT, order("1", "A2", "S", patient="P1"))
    assert [entry["priority"] for entry in site.worklist()] == ["stat"]
    say(PORT, order("2", "A2", control="CA", patient="P1"))
    site.wait_idle()
    assert state(site, first)[0] == "held"
    assert "of another order" in str(state(site, first)[1])
    assert notes(orthanc, first) == []

    say(PORT, order("3", "A1", control="CA", patient="P1"))
    wait_for(lambda: notes(orthanc, first), what="a note in the PACS")
    site.wait_idle()
    assert state(site, first)[0] == "withdrawn"
    assert notes(orthanc, first) == [("113001", documents)]
    require_valid(site)


def test_several_studies_of_one_order(site: Node, orthanc: Orthanc) -> None:
    one = chest(AccessionNumber="A1", PatientID="P1")
    two = change(chest(AccessionNumber="A1"), PatientID="P1", PatientName=one.PatientName)
    storescu(site, one)
    storescu(site, two)
    site.wait_final()
    assert [accessions(orthanc, film) for film in (one, two)] == [["A1"], ["A1"]]
    say(PORT, order("1", "A1", control="CA", patient="P1"))
    wait_for(lambda: notes(orthanc, one) and notes(orthanc, two), what="a note about each")
    assert [state(site, film)[0] for film in (one, two)] == ["withdrawn", "withdrawn"]
    again = ["ORC|NW|PL1", "OBR|1|PL1||XC^Chest^L", f"IPC|A1|RP1|{two.StudyInstanceUID}|SPS1"]
    say(PORT, message("OMI^O23^OMI_O23", "2", "PID|||P1", *again))
    wait_for(lambda: len(accessions(orthanc, two)) == 2, what="a new report of the one that is meant")
    site.wait_idle()
    assert [state(site, film)[0] for film in (one, two)] == ["withdrawn", "analysed"]
    assert len(accessions(orthanc, one)) == 1
    require_valid(site)


def test_the_same_film_under_two_studies(site: Node, orthanc: Orthanc) -> None:
    wrong = chest(AccessionNumber="A1", PatientID="P1")
    beside = of_study(wrong, AccessionNumber="A1")
    storescu(site, wrong, beside)
    site.wait_final()
    first = delivered(site, wrong, "sr", "sc")
    filed = change(wrong, StudyInstanceUID=chest().StudyInstanceUID, AccessionNumber="A2")
    left = str(beside.StudyInstanceUID)
    storescu(site, filed)
    wait_for(lambda: accessions(orthanc, filed) and notes(orthanc, beside), what="a report there, and a note here")
    site.wait_idle()
    assert accessions(orthanc, filed) == ["A2"]
    assert [title for title, _ in notes(orthanc, beside)] == ["113037"]
    assert notes(orthanc, beside)[0][1] == first
    reports = [one for one in orthanc.instances(left) if one["Modality"] == "SR" and one["SOPInstanceUID"] not in first]
    assert [filed.SOPInstanceUID in str(one) for one in reports] == [False]
    assert beside.SOPInstanceUID in str(reports)
    assert patients(orthanc, filed, "SR") == [("P1", str(filed.PatientName))]

    alone = change(beside, StudyInstanceUID=filed.StudyInstanceUID)
    storescu(site, alone)
    site.wait_idle()
    rows = {
        row["study_instance_uid"]: (row["state"], row["reason"]) for row in site.rows("SELECT * FROM worklist_entry")
    }
    assert rows[left] == ("not_analysed", "its films were filed under another study")
    assert {entry["study_instance_uid"] for entry in site.worklist()} == {left, str(filed.StudyInstanceUID)}
    assert "OT" in kinds(orthanc, filed)
    require_valid(site)
