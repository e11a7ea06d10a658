"""Stories of docs/corrections.md in which a PACS is asked whose a study is, or the day of an order is looked at."""

import copy
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import FileDataset

from tests.acceptance.test_corrections import PORT, listening, patients, require_valid, started, state
from tests.films import change, chest
from tests.node import Node, free_port, wait_for
from tests.orthanc import Orthanc
from tests.ris import merge, message, say

pytestmark = pytest.mark.peers


def asking(folder: Path, orthanc: Orthanc, **more: Any) -> Node:
    """A node that asks the same PACS that it sends its documents to."""
    pacs = {"ae_title": orthanc.ae_title, "host": "127.0.0.1", "port": orthanc.port}
    return started(folder, orthanc, corrections__pacs=pacs, **more)


def routed(node: Node, orthanc: Orthanc, film: FileDataset, **other: Any) -> None:
    """The X-ray machine has sent the film to the PACS, too, where it stands with what is `other`."""
    orthanc.store(node.written(change(copy.deepcopy(film), **other)))


def test_a_study_that_the_pacs_has_under_another_patient_is_held_until_a_merge_says_who_is_right(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    with asking(tmp_path, orthanc) as node:
        listening(node)
        film, other = chest(PatientID="P1", AccessionNumber="A1"), chest(AccessionNumber="A2")
        routed(node, orthanc, film, PatientID="TEMP1", PatientName="Unknown^Trauma")
        routed(node, orthanc, other)
        node.send(film, other)
        wait_for(lambda: patients(orthanc, other, "SR"), what="a report of the other study")
        assert state(node, film) == ("held", "the PACS has the study under another patient than its films name")
        assert patients(orthanc, film, "SR") == []
        assert [entry["state"] for entry in node.worklist()].count("held") == 1
        say(PORT, merge("1", "TEMP1", "P1"))
        wait_for(lambda: patients(orthanc, film, "SR") == [("P1", "Doe^Jane")], what="a report of the real patient")
        assert state(node, film)[0] == "analysed"
        assert "TEMP1" not in node.log()
        require_valid(node)


def test_a_study_that_was_corrected_in_the_pacs_stands_when_another_film_has_it_asked_again(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    with asking(tmp_path, orthanc, study__settle_seconds=1) as node:
        film = chest(PatientID="P1", AccessionNumber="A1")
        routed(node, orthanc, film, AccessionNumber="A9", StudyDate="20260501")
        node.send(film)
        wait_for(lambda: state(node, film)[0] == "held", what="a study that is held")
        assert "accession number" in str(state(node, film)[1])
        orthanc.delete(film.StudyInstanceUID)
        routed(node, orthanc, film)
        again = change(chest(PatientID="P1", AccessionNumber="A1"), StudyInstanceUID=film.StudyInstanceUID)
        node.send(again)
        wait_for(lambda: patients(orthanc, film, "SR"), what="a report")
        assert len(node.events("study.held")) == 1


def test_the_pacs_has_a_corrected_name_of_the_same_patient(tmp_path: Path, orthanc: Orthanc) -> None:
    with asking(tmp_path, orthanc) as node:
        film = chest(PatientID="P1", PatientName="Do^Jane", AccessionNumber="A1")
        routed(node, orthanc, film, PatientName="Doe^Jane^Mary", PatientBirthDate="19610301")
        node.send(film)
        node.wait_final()
        assert patients(orthanc, film, "SR") == [("P1", "Doe^Jane^Mary")]
        (report,) = [one for one in orthanc.instances(film.StudyInstanceUID) if one["Modality"] == "SR"]
        assert report["PatientBirthDate"] == "19610301"
        require_valid(node)


def test_a_pacs_that_does_not_answer_holds_nothing(tmp_path: Path, orthanc: Orthanc) -> None:
    nobody = {"ae_title": "NOBODY", "host": "127.0.0.1", "port": free_port()}
    with started(tmp_path, orthanc, corrections__pacs=nobody) as node:
        film = chest()
        node.send(film)
        wait_for(lambda: patients(orthanc, film, "SR"), what="a report")
        assert state(node, film)[0] == "analysed"
        assert [event["code"] for event in node.events("pacs.unanswered")] == ["UNREACHABLE"]
        assert node.logged("pacs.unanswered")
        checked = node.command("check")
        assert (checked.returncode, "PACS" in checked.stdout) == (1, True)


def test_a_film_that_was_made_long_before_its_order_is_held_until_the_order_is_changed(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    def planned(number: str, control: str, day: str) -> str:
        lines = [f"ORC|{control}|PL1", f"TQ1|1||||||{day}0800", "OBR|1|PL1||XC^Chest^L", "IPC|A1|RP1||SPS1"]
        return message("OMI^O23^OMI_O23", number, "PID|||P1", *lines)

    with started(tmp_path, orthanc) as node:
        listening(node)
        say(PORT, planned("1", "NW", "20260901"))
        film = chest(PatientID="P1", AccessionNumber="A1", StudyDate="20260301")
        node.send(film)
        node.wait_final()
        reason = "the RIS has planned it for another time: Study Date (0008,0020) is too far from that"
        assert state(node, film) == ("held", reason)
        assert patients(orthanc, film, "SR") == []
        say(PORT, planned("2", "XO", "20260228"))
        node.wait_final()
        assert len(patients(orthanc, film, "SR")) == 1
