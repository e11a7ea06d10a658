"""The main job, with real parts: dcmtk sends real films to the daemon, Orthanc is the PACS, other readers look."""

import csv
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE

from cxr_node.demo.films import wrap_image
from tests.node import Node
from tests.orthanc import Orthanc

SHARED = Path(__file__).parents[3] / "shared" / "data"
DICOM, PICTURES = SHARED / "dicom", SHARED / "cxr"
PROPOSED = {
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
}
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"

pytestmark = [
    pytest.mark.peers,
    pytest.mark.shared,
    pytest.mark.skipif(not DICOM.is_dir(), reason="the real films are not on this machine"),
]


def real_films(folder: Path) -> list[Path]:
    """The DICOM films as they are, and 20 pictures of test splits as DX, spread over labels."""
    folder.mkdir()
    with (PICTURES / "manifest.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test" and row["view"] != "LATERAL"]
    wrapped = []
    for row in rows[:: len(rows) // 20][:20]:
        wrapped.append(folder / f"{len(wrapped):02d}.dcm")
        wrap_image(PICTURES / row["path"]).save_as(wrapped[-1])
    return sorted(DICOM.glob("*.dcm")) + wrapped


def storescu(node: Node, film: Path) -> None:
    syntax = str(dcmread(film, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    command = ["/usr/bin/storescu", "-R", PROPOSED[syntax], "-aec", "CXR_NODE", "127.0.0.1", str(node.port), str(film)]
    subprocess.run(command, check=True, capture_output=True)


def series_found(pacs: Orthanc, study: str) -> list[tuple[str, int]]:
    """Modality and number of instances of each series of a study, by C-FIND."""
    ae = AE(ae_title="READER")
    ae.add_requested_context(STUDY_ROOT_FIND)
    association = ae.associate("127.0.0.1", pacs.port, ae_title=pacs.ae_title)
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "SERIES", study
    query.Modality = query.SeriesInstanceUID = query.NumberOfSeriesRelatedInstances = ""
    answers = [answer for _, answer in association.send_c_find(query, STUDY_ROOT_FIND) if answer]
    association.release()
    return sorted((answer.Modality, int(answer.NumberOfSeriesRelatedInstances)) for answer in answers)


def reader_says(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory):
    """A node that has taken in every real film and delivered everything to Orthanc."""
    folder = tmp_path_factory.mktemp("node")
    with Orthanc(folder) as pacs, Node(folder, destinations=[pacs.destination()]) as node:
        for film in real_films(folder / "films"):
            storescu(node, film)
        node.wait_final()
        yield node, pacs


def test_each_analysed_study_has_one_report_and_one_heat_map_in_the_pacs(played) -> None:
    node, pacs = played
    analysed = [entry["study_instance_uid"] for entry in node.worklist() if entry["state"] == "analysed"]
    assert len(analysed) >= 20
    for study in analysed:
        assert series_found(pacs, study) == [("OT", 1), ("SR", 1)]


def test_leg_and_dog_are_shown_as_not_analysed_with_their_reasons(played) -> None:
    node, pacs = played
    for name, word in (("nema_wg04_rg3_cr_leg_NOT_CHEST", "EXTREMITY"), ("dx_dog_thorax_NOT_HUMAN", "LATERAL")):
        study = str(dcmread(DICOM / f"{name}.dcm", stop_before_pixels=True).StudyInstanceUID)
        entry = next(entry for entry in node.worklist() if entry["study_instance_uid"] == study)
        assert (entry["state"], entry["tier"]) == ("not_analysed", "none")
        assert word in entry["reason"]
        assert series_found(pacs, study) == []


def test_the_same_instance_with_inverted_pixels_is_kept_aside(played) -> None:
    node, _ = played
    study = node.study(dcmread(DICOM / "rsna_cr_pa_16d7f894.dcm", stop_before_pixels=True).StudyInstanceUID)
    assert sorted(instance["state"] for instance in study["instances"]) == ["current", "quarantined"]
    assert study["revision"] == 1


def test_worklist_stands_in_the_order_of_tiers_then_arrival(played) -> None:
    node, _ = played
    entries = node.worklist()
    rank = {"high": 0, "medium": 1, "none": 2}
    assert entries == sorted(entries, key=lambda entry: (rank[entry["tier"]], entry["received_at"]))
    assert len({entry["tier"] for entry in entries}) > 1
    for entry in entries:
        if entry["state"] == "analysed":
            assert entry["positive"] == (entry["probability"] >= entry["threshold"])
            assert (entry["tier"] != "none") == entry["positive"]


def test_every_document_satisfies_the_validators(played) -> None:
    node, _ = played
    written = node.files("outbox")
    assert {UID(dcmread(path).SOPClassUID) for path in written} == {COMPREHENSIVE_3D_SR, SECONDARY_CAPTURE}
    for path in written:
        assert "Error" not in reader_says("/usr/bin/dciodvfy", "-new", path)
        if dcmread(path).Modality == "SR":
            dumped = reader_says("/usr/bin/dsrdump", path)
            assert "Comprehensive 3D SR Document" in dumped
            assert "E: " not in dumped


def test_identity_is_that_of_the_film(played) -> None:
    node, _ = played
    film = dcmread(DICOM / "nema_wg04_rg1_cr_pa_mono1_j2k.dcm", stop_before_pixels=True)
    outputs = node.study(film.StudyInstanceUID)["outputs"]
    assert {output["kind"] for output in outputs} == {"sr", "sc"}
    for output in outputs:
        document = dcmread(node.data / output["path"])
        for keyword in (
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyInstanceUID",
            "AccessionNumber",
        ):
            assert document[keyword].value == film[keyword].value, keyword


def test_pixels_are_kept_in_the_coding_in_which_they_came(played) -> None:
    node, _ = played
    kept = [dcmread(path) for path in node.files("films")]
    for film in sorted(DICOM.glob("*.dcm")):
        sent = dcmread(film)
        versions = [one for one in kept if one.SOPInstanceUID == sent.SOPInstanceUID]
        assert {one.file_meta.TransferSyntaxUID for one in versions} == {sent.file_meta.TransferSyntaxUID}
        assert _values(sent) in [_values(one) for one in versions], film.name


def _values(film: Dataset) -> bytes:
    """The pixel data without the padding byte that storescu adds to an odd length."""
    return bytes(film.PixelData).rstrip(b"\0")
