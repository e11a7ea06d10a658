"""Patient data stand in the database, the spool and the outputs only: planted ones are looked for everywhere else."""

import copy
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import generate_uid

from tests.fault.damage import compressed, put
from tests.fault.peer import Destination
from tests.films import chest, lateral, leg
from tests.modality import Modality, begun, ended
from tests.node import Node, free_port, wait_for

pytestmark = pytest.mark.fault

T = TypeVar("T", bound=Dataset)
PLANTED = {
    "PatientName": "Zyxwvut^Quorra",
    "PatientID": "PID7QXJ9",
    "OtherPatientIDs": "OID7QXJ9",
    "AccessionNumber": "ACC7QXJ9",
    "PatientBirthDate": "19310713",
    "PatientAddress": "Zyxwvut Lane",
    "ReferringPhysicianName": "Drzyxwvut",
    "StudyDescription": "Chest of Zyxwvut",
    "SeriesDescription": "Quorra again",
    "PatientComments": "Zyxwvut is unwell",
    "StudyID": "SID7QXJ9",
}
PLANTED_WHOLE = (
    b"zyxwvut",
    b"quorra",
    b"pid7qxj9",
    b"oid7qxj9",
    b"acc7qxj9",
    b"19310713",
)  # apart from chance in pixels
WORDS = ("zyxwvut", "quorra", "7qxj9", "19310713")


def of_the_patient(film: T) -> T:
    for keyword, value in PLANTED.items():
        put(film, keyword, value)
    return film


def broken() -> list[FileDataset]:
    """Films with the patient's data where other things belong, so that whoever complains of them may quote it."""
    misplaced = {
        "SpecificCharacterSet": ("Zyxwvut", "CS"),
        "WindowCenter": ("Quorra", "LO"),
        "Rows": ("Zyxwvut", "LO"),
        "BodyPartExamined": ("Quorra", "LO"),
        "ViewPosition": ("Zyxwvut", "LO"),
        "PatientAge": ("7QXJ9", "AS"),
        "Modality": ("Zyxwvut", "CS"),
        "ImageType": (["ORIGINAL", "Zyxwvut"], "CS"),
        "RescaleSlope": ("Quorra", "LO"),
        "StudyDate": ("Zyxwvut", "DA"),
        "StudyInstanceUID": ("Zyxwvut", "UI"),
        "NumberOfFrames": ("Quorra", "LO"),
        "PixelData": (b"Zyxwvut7", "OB"),
    }
    films = []
    for keyword, (value, vr) in misplaced.items():
        film = of_the_patient(chest())
        put(film, keyword, value, vr)
        films.append(film)
    return films


def films() -> list[FileDataset]:
    good = chest()
    corrected, changed = copy.deepcopy(good), copy.deepcopy(good)
    corrected.PatientSex = "M"
    changed.PixelData = changed.PixelData[::-1]
    noise = compressed(b"Zyxwvut7QXJ9" * 100, uid.JPEG2000Lossless)
    whole = [good, good, corrected, changed, chest(), lateral(), leg(), noise, compressed(b"Quorra", uid.RLELossless)]
    return [of_the_patient(film) for film in whole] + broken()


def ends_of_uids(sent: Sequence[Dataset | Path]) -> set[str]:
    """The ends of the UIDs of films and of the node's own documents, by which one could still tell them apart."""
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    uids = {str(film.get(keyword, "")) for film in sent if isinstance(film, Dataset) for keyword in keywords}
    return {uid[-10:] for uid in uids | {path.stem for path in sent if isinstance(path, Path)} if len(uid) > 20}


def in_the_open(node: Node, study: str) -> tuple[str, str]:
    """Everything that the node shows to those who may not see patients; and that of it which may not name studies."""
    commands = [
        ("check",),
        ("study", "1.2.3"),
        ("requeue", "--failed"),
        ("audit", "verify"),
        ("audit", "verify", "--json"),
    ]
    open_ended = [node.command(*command) for command in commands]
    quiet = [node.command("study", study), node.command("worklist")]  # these may show patients, on standard output
    status = [node.command("status", "--json"), node.command("status")]  # these may name studies there
    nameless = "\n".join(
        [
            node.log(),
            *visited(node, study),
            *(e.stdout + e.stderr for e in open_ended),
            *(e.stderr for e in quiet + status),
        ]
    )
    return "\n".join([nameless, *(e.stdout for e in status)]).lower(), nameless


def visited(node: Node, study: str) -> list[str]:
    """What the web page shows to those who may not see patients, after others looked at theirs and searched."""
    base = f"http://127.0.0.1:{node.config.web.port}"
    with httpx2.Client(base_url=base, follow_redirects=True, timeout=30) as browser:
        page = browser.get("/").text
        assert "pid7qx" in page.lower(), "who may see patients sees them"
        token = re.search(r'name="form_token" value="([0-9a-f]*)"', page)
        assert token
        found = browser.post("/worklist", data={"form_token": token[1], "text": "ACC7QX"})
        shown = browser.get(f"/studies/{study}")
        for wrong in ("/studies/Zyxwvut", "/Quorra?q=PID7QX", "/api/studies/Zyxwvut/read"):
            browser.get(wrong)
            browser.post(wrong, content=b"name=Zyxwvut&\xff=Quorra")
        addresses = re.findall(r'(?:href|src|action)="([^"]*)"|<title>(.*?)</title>', page + found.text + shown.text)
        in_the_open = [str(shown.url), str(found.url), *("".join(one) for one in addresses)]
        return [*in_the_open, *(browser.get(path).text for path in ("/metrics", "/healthz", "/readyz"))]


def exported(node: Node, folder: Path) -> bytes:
    """Every byte that leaves with an export, and what the command says."""
    said = node.command("export", "--deidentified", str(folder))
    assert said.returncode == 0, said.stderr
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 2
    content = b"".join(path.read_bytes() + str(path.relative_to(folder)).encode() for path in files)
    return content.lower() + (said.stdout + said.stderr).lower().encode()


@contextmanager
def full_of_patients(folder: Path, form: str) -> Iterator[tuple[Node, list[Any], list[Dataset]]]:
    """A node that logs all that it can and has done what it could with films full of names; the films, and its answers
    to them.
    """
    peer, sent = Destination(lambda _: 0xC000), films()
    web = {"web__enabled": True, "web__port": free_port()}
    with peer, Node(folder, destinations=[peer.table], log__level="debug", log__format=form, **web) as node:
        answers: list[Dataset] = [node.store(film)[0] for film in sent]
        truncated = node.written(of_the_patient(chest()))
        truncated.write_bytes(truncated.read_bytes()[:-5000])
        answers += node.store(truncated)
        node.wait_idle()
        wait_for(lambda: node.rows("SELECT 1 FROM job WHERE kind = 'deliver' AND state = 'failed'"), what="refusals")
        yield node, sent, answers


def test_no_patient_data_in_the_open(tmp_path: Path) -> None:
    with full_of_patients(tmp_path, "json") as (node, sent, answers):
        seen, nameless = in_the_open(node, sent[0].StudyInstanceUID)
        left = exported(node, tmp_path / "exported")

        assert {0x0000, 0xA900, 0xC000} == {answer.Status for answer in answers}
        assert "undecodable" in seen
        assert [word for word in WORDS if word in seen] == []
        assert [end for end in ends_of_uids([*sent, *node.files("outbox")]) if end in nameless] == []
        assert [word for word in PLANTED_WHOLE if word in left] == []
        assert [end for end in ends_of_uids(sent) if end.encode() in left] == []
        comments = " ".join(str(answer.get("ErrorComment", "")) for answer in answers).lower()
        assert [word for word in WORDS if word in comments] == []


def test_no_patient_data_in_a_log_on_a_terminal(tmp_path: Path) -> None:
    with full_of_patients(tmp_path, "console") as (node, sent, _):
        shown = node.log()
        assert "undecodable" in shown.lower()
        assert [word for word in WORDS if word in shown.lower()] == []
        assert [end for end in ends_of_uids([*sent, *node.files("outbox")]) if end in shown] == []


def test_the_procedure_steps_of_x_ray_machines(standing: Node) -> None:
    film, step = chest(), generate_uid()
    misplaced = {
        "PerformedProcedureStepStatus": ("ZYXWVUT", "CS"),
        "ScheduledStepAttributesSequence": ("Zyxwvut", "LO"),
        "PerformedSeriesSequence": ("Quorra", "LO"),
    }
    said = [of_the_patient(begun(film.StudyInstanceUID)) for _ in misplaced]
    for one, (keyword, (value, vr)) in zip(said, misplaced.items(), strict=True):
        put(one, keyword, value, vr)
    wrong = of_the_patient(ended("DISCONTINUED", film, reason="110514"))
    wrong.PerformedProcedureStepDiscontinuationReasonCodeSequence[0].CodeMeaning = "Zyxwvut chosen for Quorra"

    standing.send(film)
    with Modality(standing.port, calling="XRAY1") as modality:
        answers = [modality.create(generate_uid(), one) for one in said]
        answers.append(modality.create(step, of_the_patient(begun(film.StudyInstanceUID))))
        answers.append(modality.set(step, wrong))

    assert [answer.Status for answer in answers] == [0x0106, 0x0121, 0x0000, 0x0000, 0x0000]
    wait_for(lambda: standing.logged("study.withdrawn"), what="a line in the log")
    shown = standing.log() + "".join(map(str, answers))
    assert [word for word in WORDS if word in shown.lower()] == []
    assert [end for end in ends_of_uids([film]) if end in shown] == []
    assert step not in shown


def test_one_name_for_a_study_in_every_line_and_a_command_that_resolves_it(standing: Node) -> None:
    film = chest()
    standing.send(film)

    (stored,) = [line for line in standing.logged("instance.stored") if line["film"] in digests(standing, film)]

    def done() -> set[str]:
        return {line["kind"] for line in standing.logged("job.done") if line.get("study") == stored["study"]}

    wait_for(lambda: done() == {"analyse", "settle", "report", "heatmap"}, what="the jobs of the study")
    found = standing.command("study", stored["study"], "--json")
    assert json.loads(found.stdout)["study_instance_uid"] == film.StudyInstanceUID
    assert film.StudyInstanceUID not in standing.log()


def digests(node: Node, film: FileDataset) -> list[str]:
    return [instance["digest"][:12] for instance in node.study(film.StudyInstanceUID)["instances"]]


def test_a_name_for_a_photometric_interpretation(standing: Node) -> None:
    film = chest()
    put(film, "PhotometricInterpretation", "QUORRA")

    standing.send(film)

    uid = film.StudyInstanceUID
    wait_for(lambda: standing.events("job.failed", uid) or standing.events("job.skipped", uid), what="an end")
    assert "QUORRA" not in standing.log()
