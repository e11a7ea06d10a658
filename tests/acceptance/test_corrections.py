"""The stories of docs/corrections.md, played with real messages against a real node and Orthanc as the PACS."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from tests.films import change, chest, lateral
from tests.modality import Modality, begun, ended
from tests.node import Node, free_port, wait_for
from tests.orthanc import Orthanc
from tests.rejection import rejection
from tests.ris import Ris, merge, message, order, say, update

pytestmark = pytest.mark.peers

PORT = free_port()


@pytest.fixture
def site(tmp_path: Path, orthanc: Orthanc) -> Iterator[Node]:
    """A node that takes the messages of a RIS, and tells the PACS by notes what does not stand."""
    with started(tmp_path, orthanc) as running:
        yield running.analysing()


def started(folder: Path, orthanc: Orthanc, **more: Any) -> Node:
    known: dict[str, Any] = {"hl7__port": PORT, "model__thresholds": {"pneumonia": 0.0001}}
    return Node(folder, destinations=[orthanc.destination(rejection_notes=True)], **(known | more))


def listening(node: Node) -> Node:
    wait_for(lambda: node.logged("hl7.ready"), what="a port for messages")
    return node


def state(node: Node, film: Any) -> tuple[str, str | None]:
    rows = node.rows("SELECT state, reason FROM worklist_entry WHERE study_instance_uid = ?", film.StudyInstanceUID)
    return (rows[0]["state"], rows[0]["reason"]) if rows else ("", None)


def kinds(orthanc: Orthanc, film: Any) -> list[str]:
    """What the PACS has of a study: the modality of each instance."""
    return orthanc.modalities(film.StudyInstanceUID)


def notes(orthanc: Orthanc, film: Any) -> list[tuple[str, set[str]]]:
    """The notes in the PACS about a study: title, and what they reject."""
    found = []
    for one in orthanc.get("/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": film.StudyInstanceUID}}):
        tags = orthanc.get(f"/instances/{one}/simplified-tags")
        if tags["Modality"] == "KO":
            refs = tags["CurrentRequestedProcedureEvidenceSequence"][0]["ReferencedSeriesSequence"]
            uids = {i["ReferencedSOPInstanceUID"] for each in refs for i in each["ReferencedSOPSequence"]}
            found.append((tags["ConceptNameCodeSequence"][0]["CodeValue"], uids))
    return found


def delivered(node: Node, film: Any, *of: str) -> set[str]:
    """The documents of a study that were sent, of these kinds."""
    outputs = {one["sop_instance_uid"]: one["kind"] for one in node.study(film.StudyInstanceUID)["outputs"]}
    sent = {d["sop_instance_uid"] for d in node.study(film.StudyInstanceUID)["deliveries"] if d["sent_at"]}
    return {uid for uid in sent if outputs[uid] in of}


def require_valid(node: Node) -> None:
    """Everything that was written passes dciodvfy, and the trail is whole."""
    for path in node.files("outbox"):
        done = subprocess.run(["/usr/bin/dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        assert "Error" not in done.stdout + done.stderr, done.stdout + done.stderr
    verified = node.command("audit", "verify")
    assert verified.returncode == 0, verified.stderr


def test_a_person_takes_back_a_study_that_was_delivered_and_says_later_that_it_stands(
    site: Node, orthanc: Orthanc
) -> None:
    film, other = chest(), chest()
    site.send(film, other)
    site.wait_final()
    assert kinds(orthanc, film) == ["OT", "SR"]
    first = delivered(site, film, "sr", "sc")
    done = site.command("withdraw", film.StudyInstanceUID, "--reason", "wrong patient")
    assert (done.returncode, "2 deliveries had left" in done.stdout) == (0, True), done.stderr
    again = site.command("withdraw", film.StudyInstanceUID, "--reason", "wrong patient")
    assert (again.returncode, "had been withdrawn before" in again.stdout) == (0, True)
    wait_for(lambda: notes(orthanc, film), what="a note in the PACS")
    site.wait_idle()
    assert notes(orthanc, film) == [("113037", first)]
    assert state(site, film)[0] == "withdrawn"
    assert str(state(site, film)[1]).endswith(": wrong patient")
    assert [entry["study_instance_uid"] for entry in site.worklist()] == [other.StudyInstanceUID]
    assert len(site.events("study.withdrawn")) == 1
    assert site.rows("SELECT probability FROM result")  # results are kept

    assert site.command("release", film.StudyInstanceUID).returncode == 0
    wait_for(lambda: len(delivered(site, film, "sr", "sc")) == 4, what="new documents")
    site.wait_idle()
    assert kinds(orthanc, film) == ["KO", "OT", "OT", "SR", "SR"]
    assert (delivered(site, film, "sr", "sc") - first).isdisjoint(first)
    assert state(site, film)[0] == "analysed"
    refused = site.command("release", film.StudyInstanceUID)
    assert (refused.returncode, refused.stderr.startswith("STUDY_NOT_HELD")) == (1, True)
    unknown = site.command("withdraw", "1.2.3", "--reason", "x")
    assert (unknown.returncode, unknown.stderr.startswith("STUDY_UNKNOWN")) == (1, True)
    assert site.command("withdraw", film.StudyInstanceUID, "--reason", " ").returncode == 2
    require_valid(site)


def test_what_is_taken_back_while_the_pacs_is_away_is_not_sent_when_it_comes_back(site: Node, orthanc: Orthanc) -> None:
    orthanc.stop()
    film = chest()
    site.send(film)
    wait_for(lambda: len(site.study(film.StudyInstanceUID).get("outputs", [])) == 2, what="documents")
    assert site.command("withdraw", film.StudyInstanceUID, "--reason", "wrong patient").returncode == 0
    orthanc.start()
    site.wait_idle()
    assert kinds(orthanc, film) == []
    assert {one["state"] for one in site.study(film.StudyInstanceUID)["deliveries"]} <= {"failed", "pending"}


def test_a_result_that_the_ris_has_is_taken_back_and_told_again(tmp_path: Path, orthanc: Orthanc) -> None:
    with Ris() as ris, started(tmp_path, orthanc, told=[ris.table()]) as node:
        film = chest()
        node.send(film)
        node.wait_final()
        for action in (
            ["withdraw", film.StudyInstanceUID, "--reason", "wrong patient"],
            ["release", film.StudyInstanceUID],
        ):
            assert node.command(*action).returncode == 0
            node.wait_idle()
        assert [str(told.segment("OBR")[25]) for told in ris.messages] == ["P", "C", "P"]
        assert [str(told.segment("OBX")[11]) for told in ris.messages] == ["P", "W", "P"]
        assert len({str(told.segment("OBR")[3]) for told in ris.messages}) == 1
        require_valid(node)


def test_an_order_that_is_cancelled_while_the_film_is_analysed(tmp_path: Path, orthanc: Orthanc) -> None:
    with started(tmp_path, orthanc, study__settle_seconds=3) as node:
        listening(node)
        film = chest(AccessionNumber="A1")
        node.send(film)  # the model is still being loaded
        (answer,) = say(PORT, order("1", "A1", control="CA"))
        assert str(answer.segment("MSA")[1]) == "AA"
        assert state(node, film) == ("withdrawn", "its order was cancelled in the RIS")
        node.analysing().wait_idle()
        assert (kinds(orthanc, film), node.study(film.StudyInstanceUID)["outputs"]) == ([], [])
        say(PORT, order("2", "A1", control="NW"))
        wait_for(lambda: kinds(orthanc, film) == ["OT", "SR"], what="documents after it was ordered again")
        assert state(node, film)[0] == "analysed"
        require_valid(node)


@pytest.mark.parametrize("control", ["CA", "DC", "OC"])
def test_an_order_that_is_cancelled_after_delivery(site: Node, orthanc: Orthanc, control: str) -> None:
    listening(site)
    film = chest(AccessionNumber="A1")
    site.send(film)
    site.wait_final()
    cancel = order("1", "A1", control=control)
    say(PORT, cancel, cancel)
    wait_for(lambda: notes(orthanc, film), what="a note in the PACS")
    site.wait_idle()
    assert notes(orthanc, film) == [("113001", delivered(site, film, "sr", "sc"))]
    assert state(site, film)[0] == "withdrawn"
    late = change(chest(AccessionNumber="A1"), StudyInstanceUID=film.StudyInstanceUID)
    site.send(late)
    site.wait_idle()
    assert state(site, film)[0] == "held"
    assert "films that came later" in str(state(site, film)[1])
    assert [entry["state"] for entry in site.worklist()] == ["held"]
    require_valid(site)


def test_a_rejected_film_and_its_repeat(tmp_path: Path, orthanc: Orthanc) -> None:
    with started(tmp_path, orthanc, study__settle_seconds=4) as node:
        node.analysing()
        bad = chest()
        node.send(bad)
        wait_for(lambda: state(node, bad)[0] == "analysed", what="a result")
        node.send(rejection("113001", bad))
        assert state(node, bad) == ("withdrawn", "its films were rejected: for quality reasons")
        good = change(chest(), StudyInstanceUID=bad.StudyInstanceUID, PatientID=bad.PatientID)
        node.send(good)
        node.wait_final()
        assert state(node, bad)[0] == "analysed"
        assert kinds(orthanc, bad) == ["OT", "SR"]
        (report,) = [one for one in orthanc.instances(bad.StudyInstanceUID) if one["Modality"] == "SR"]
        assert bad.SOPInstanceUID not in str(report)
        assert good.SOPInstanceUID in str(report)
        require_valid(node)


def test_a_film_that_is_rejected_after_delivery_is_replaced_in_the_report(site: Node, orthanc: Orthanc) -> None:
    bad = chest()
    good = change(chest(), StudyInstanceUID=bad.StudyInstanceUID, PatientID=bad.PatientID)
    site.send(bad, good)
    site.wait_final()
    first = delivered(site, bad, "sr", "sc")
    note = rejection("113037", bad)
    site.send(note)
    site.send(note)
    site.wait_idle()
    assert notes(orthanc, bad) == [("113037", first)]
    reports = [one for one in orthanc.instances(bad.StudyInstanceUID) if one["Modality"] == "SR"]
    assert len(reports) == 2
    (newer,) = [one for one in reports if one["SOPInstanceUID"] not in first]
    assert bad.SOPInstanceUID not in str(newer)
    assert newer["PredecessorDocumentsSequence"]
    assert len(site.events("instance.rejected")) == 1
    require_valid(site)


def test_a_note_that_comes_before_its_film_and_one_of_a_film_that_never_comes(site: Node, orthanc: Orthanc) -> None:
    film = chest()
    site.send(rejection("113038", film))
    site.send(rejection("113039", chest()))
    site.send(rejection("113000", film))  # of interest: it rejects nothing
    site.send(film)
    site.wait_idle()
    assert state(site, film) == ("withdrawn", "its films were rejected: incorrect worklist entry selected")
    assert kinds(orthanc, film) == []
    refused = site.command("release", film.StudyInstanceUID)
    assert refused.stderr.startswith("FILMS_REJECTED")


def test_a_wrong_entry_then_a_discontinued_step(site: Node, orthanc: Orthanc) -> None:
    film = chest()
    side = change(lateral(), StudyInstanceUID=film.StudyInstanceUID)
    step = generate_uid()
    with Modality(site.port) as modality:
        assert modality.create(step, begun(film.StudyInstanceUID)).Status == 0x0000
        site.send(film, side)
        assert modality.set(step, ended("DISCONTINUED", film, side, reason="110514")).Status == 0x0000
    site.wait_idle()
    assert state(site, film)[0] == "withdrawn"
    assert kinds(orthanc, film) == []


def patients(orthanc: Orthanc, film: Any, modality: str) -> list[tuple[str, str]]:
    """Patient and name of each instance of a modality that the PACS has of a study, sorted."""
    found = [one for one in orthanc.instances(film.StudyInstanceUID) if one["Modality"] == modality]
    return sorted((one["PatientID"], one["PatientName"]) for one in found)


def test_a_temporary_number_then_a_merge(site: Node, orthanc: Orthanc) -> None:
    listening(site)
    film = chest(PatientID="TEMP1", PatientName="Unknown^Trauma")
    site.send(film)
    site.wait_final()
    first = delivered(site, film, "sr", "sc")
    received = {path: path.read_bytes() for path in site.files("films")}
    merged = merge("1", "TEMP1", "P1")
    say(PORT, merged, merged, merge("2", "TEMP1", "P1"))
    wait_for(lambda: len(delivered(site, film, "sr", "sc")) == 4 and notes(orthanc, film), what="a revision and a note")
    site.wait_idle()
    assert patients(orthanc, film, "SR") == [("P1", "Doe^Jane"), ("TEMP1", "Unknown^Trauma")]
    assert patients(orthanc, film, "OT") == [("P1", "Doe^Jane"), ("TEMP1", "Unknown^Trauma")]
    assert patients(orthanc, film, "KO") == [("TEMP1", "Unknown^Trauma")]
    assert notes(orthanc, film) == [("113037", first)]
    (newer,) = [r for r in orthanc.instances(film.StudyInstanceUID) if (r["Modality"], r["PatientID"]) == ("SR", "P1")]
    assert newer["PredecessorDocumentsSequence"]
    assert (newer["PatientBirthDate"], newer["PatientSex"]) == ("19600229", "F")
    assert [entry["patient_id"] for entry in site.worklist()] == ["P1"]
    assert {path: path.read_bytes() for path in site.files("films")} == received
    assert "Doe" not in site.log()
    require_valid(site)


def test_a_merge_while_the_pacs_is_away(site: Node, orthanc: Orthanc) -> None:
    listening(site)
    orthanc.stop()
    film = chest(PatientID="TEMP1", PatientName="Unknown^Trauma")
    site.send(film)
    wait_for(lambda: len(site.study(film.StudyInstanceUID).get("outputs", [])) == 2, what="documents")
    say(PORT, merge("1", "TEMP1", "P1"))
    wait_for(lambda: len(site.study(film.StudyInstanceUID).get("outputs", [])) == 4, what="a revision")
    orthanc.start()
    site.wait_idle()
    assert patients(orthanc, film, "SR") == patients(orthanc, film, "OT") == [("P1", "Doe^Jane")]
    assert notes(orthanc, film) == []
    require_valid(site)


def test_merges_before_the_film_and_in_the_wrong_order(site: Node, orthanc: Orthanc) -> None:
    listening(site)
    film = chest(PatientID="TEMP1", PatientName="Unknown^Trauma")
    say(PORT, merge("1", "P1", "P2", "Doe^Janet"), merge("2", "TEMP1", "P1"), update("3", "P9", "Roe^Richard"))
    site.send(film)
    site.wait_final()
    assert patients(orthanc, film, "SR") == [("P2", "Doe^Janet")]
    assert len(site.rows("SELECT * FROM study_revision")) == 1
    say(PORT, update("4", "P2", "Doe^Jeanette"))
    site.wait_idle()
    assert patients(orthanc, film, "SR") == [("P2", "Doe^Janet"), ("P2", "Doe^Jeanette")]
    require_valid(site)


def test_an_order_gets_another_accession_number(site: Node, orthanc: Orthanc) -> None:
    listening(site)
    film = chest(AccessionNumber="A1")
    site.send(film)
    site.wait_final()
    lines = ["ORC|XO|PL1", "OBR|1|PL1||XC^Chest^L", f"IPC|A2|RP1|{film.StudyInstanceUID}|SPS1"]
    changed = message("OMI^O23^OMI_O23", "1", f"PID|||{film.PatientID}", *lines)
    say(PORT, changed)
    site.wait_idle()
    reports = [one for one in orthanc.instances(film.StudyInstanceUID) if one["Modality"] == "SR"]
    assert sorted(one["AccessionNumber"] for one in reports) == ["A1", "A2"]
    assert [entry["accession_number"] for entry in site.worklist()] == ["A2"]
    require_valid(site)


def test_an_order_is_for_another_procedure(site: Node, orthanc: Orthanc) -> None:
    listening(site)
    film = chest(AccessionNumber="A1")

    def told(number: str, control: str, code: str) -> str:
        obr = f"OBR|1|PL1||{code}{'|' * 14}A1"
        return message("ORM^O01^ORM_O01", number, f"PID|||{film.PatientID}", f"ORC|{control}|PL1", obr)

    say(PORT, told("1", "NW", "XC1^Chest one view^L"))
    site.send(film)
    site.wait_final()
    first = delivered(site, film, "sr", "sc")
    say(PORT, told("2", "XO", "XC1^Chest one view^L"))
    site.wait_idle()
    assert delivered(site, film, "sr", "sc") == first
    say(PORT, told("3", "XO", "XC2^Chest two views^L"))
    wait_for(lambda: len(delivered(site, film, "sr", "sc")) == 4 and notes(orthanc, film), what="a revision and a note")
    site.wait_idle()
    reports = [one for one in orthanc.instances(film.StudyInstanceUID) if one["Modality"] == "SR"]
    assert ["Chest two views" in str(one) for one in reports].count(True) == 1
    assert notes(orthanc, film) == [("113037", first)]
    require_valid(site)


def test_an_order_for_another_patient_holds_the_study_until_a_merge_says_that_it_is_the_same(
    site: Node, orthanc: Orthanc
) -> None:
    listening(site)
    say(PORT, order("1", "A1", "", patient="P1"))
    film, other = chest(AccessionNumber="A1", PatientID="TEMP1"), chest()
    site.send(film)
    site.send(other)
    site.wait_final()
    assert state(site, film) == ("held", "the RIS has ordered it for another patient than its films name")
    assert kinds(orthanc, film) == []
    assert {entry["study_instance_uid"] for entry in site.worklist()} == {film.StudyInstanceUID, other.StudyInstanceUID}
    say(PORT, merge("2", "TEMP1", "P1"))
    site.wait_final()
    assert state(site, film)[0] == "analysed"
    assert patients(orthanc, film, "SR") == [("P1", "Doe^Jane")]
    require_valid(site)


def test_films_of_two_patients_in_one_study_are_for_a_person(site: Node, orthanc: Orthanc) -> None:
    one = chest(PatientID="P1")
    two = change(chest(PatientID="P2"), StudyInstanceUID=one.StudyInstanceUID)
    site.send(one, two)
    site.wait_final()
    assert state(site, one)[0] == "held"
    assert "more than one patient" in str(state(site, one)[1])
    assert kinds(orthanc, one) == []
    assert site.command("release", one.StudyInstanceUID).returncode == 0
    wait_for(lambda: kinds(orthanc, one).count("SR") == 1, what="a report after the release")
    site.wait_idle()
    site.send(rejection("113038", two))
    site.wait_idle()
    assert patients(orthanc, one, "SR") == [("P1", str(one.PatientName))] * 2


def test_an_order_with_another_accession_number_holds_the_study_until_it_is_changed(
    site: Node, orthanc: Orthanc
) -> None:
    listening(site)
    film = chest(AccessionNumber="A1")

    def told(number: str, control: str) -> str:
        lines = [f"ORC|{control}|PL1", "OBR|1|PL1||XC^Chest^L", f"IPC|A2|RP1|{film.StudyInstanceUID}|SPS1"]
        return message("OMI^O23^OMI_O23", number, f"PID|||{film.PatientID}", *lines)

    say(PORT, told("1", "NW"))
    site.send(film)
    site.wait_final()
    assert state(site, film) == ("held", "the RIS knows the study under another accession number than its films name")
    say(PORT, told("2", "XO"))
    site.wait_final()
    (report,) = [one for one in orthanc.instances(film.StudyInstanceUID) if one["Modality"] == "SR"]
    assert report["AccessionNumber"] == "A2"


def test_what_was_acknowledged_holds_when_the_node_is_killed_at_once(site: Node, orthanc: Orthanc) -> None:
    listening(site)
    film, other = chest(), chest(AccessionNumber="A1")
    site.send(film, other)
    site.wait_final()
    first = delivered(site, film, "sr", "sc")
    site.send(rejection("113001", film))
    site.kill()
    site.start()
    wait_for(lambda: len(site.logged("hl7.ready")) == 2, what="a port for messages")
    say(PORT, order("1", "A1", control="CA"))
    site.kill("work")
    site.kill()
    site.start()
    wait_for(lambda: notes(orthanc, film) and notes(orthanc, other), what="notes in the PACS")
    site.wait_idle()
    assert notes(orthanc, film) == [("113001", first)]
    assert notes(orthanc, other) == [("113001", delivered(site, other, "sr", "sc"))]
    assert [state(site, one)[0] for one in (film, other)] == ["withdrawn", "withdrawn"]
    require_valid(site)
