"""The same instance again: what changed decides what follows, and nothing is silently replaced."""

import copy
from collections import Counter

import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import FileDataset

from tests.films import chest, encode
from tests.node import Node

pytestmark = pytest.mark.fault


def received(node: Node, film: FileDataset) -> FileDataset:
    """A film that the node has, reported in revision 1."""
    node.send(film)
    (study,) = node.wait_final(film.StudyInstanceUID)
    assert study["revision"] == 1
    return film


def happened(node: Node, film: FileDataset) -> Counter[str]:
    """How often each kind of event was recorded for a film's study."""
    return Counter(event["event"] for event in node.study(film.StudyInstanceUID)["events"])


def test_the_same_bytes_make_no_work(standing: Node) -> None:
    film = received(standing, chest())
    before, jobs = happened(standing, film), standing.rows("SELECT id, changed_at FROM job ORDER BY id")

    standing.send(film, film)

    assert standing.rows("SELECT id, changed_at FROM job ORDER BY id") == jobs
    assert happened(standing, film) == before
    assert len(standing.study(film.StudyInstanceUID)["instances"]) == 1


@pytest.mark.parametrize(
    "syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.RLELossless, uid.ImplicitVRLittleEndian]
)
def test_another_transfer_syntax_is_the_same_film(standing: Node, syntax: str) -> None:
    film = received(standing, chest())

    standing.send(encode(film, syntax))

    (study,) = standing.wait_final(film.StudyInstanceUID)
    assert [one["state"] for one in study["instances"]] == ["current", "repeated"]
    assert study["revision"] == 1
    assert len(study["outputs"]) == 2
    assert happened(standing, film)["instance.analysed"] == 1


@pytest.mark.parametrize(
    ("keyword", "value"), [("PatientID", "CORRECTED"), ("AccessionNumber", "A-2"), ("PatientName", "Roe^Jane")]
)
def test_a_corrected_identity_makes_a_revision(standing: Node, keyword: str, value: str) -> None:
    film = received(standing, chest())
    corrected = copy.deepcopy(film)
    setattr(corrected, keyword, value)

    standing.send(corrected)

    (study,) = standing.wait_final(film.StudyInstanceUID)
    assert [one["state"] for one in study["instances"]] == ["superseded", "current"]
    assert study["revision"] == 2
    assert [(one["kind"], one["revision"]) for one in study["outputs"]] == [("sr", 1), ("sc", 1), ("sr", 2), ("sc", 2)]
    first, _, second, picture = (pydicom.dcmread(standing.data / one["path"]) for one in study["outputs"])
    assert [getattr(second, keyword), getattr(picture, keyword)] == [value, value]
    cited = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert cited.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.SeriesInstanceUID == first.SeriesInstanceUID
    assert "PredecessorDocumentsSequence" not in first


def test_a_correction_shows_in_the_worklist(standing: Node) -> None:
    film = received(standing, chest())
    corrected = copy.deepcopy(film)
    corrected.PatientID, corrected.AccessionNumber = "P-NEW", "A-NEW"

    standing.send(corrected)

    standing.wait_final(film.StudyInstanceUID)
    (entry,) = [one for one in standing.worklist() if one["study_instance_uid"] == film.StudyInstanceUID]
    assert (entry["patient_id"], entry["accession_number"], entry["state"]) == ("P-NEW", "A-NEW", "analysed")


def test_an_old_version_that_comes_again_changes_nothing(standing: Node) -> None:
    film = received(standing, chest())
    corrected = copy.deepcopy(film)
    corrected.PatientID = "CORRECTED"
    standing.send(corrected)
    standing.wait_idle()

    standing.send(film)

    (study,) = standing.wait_final(film.StudyInstanceUID)
    assert [one["state"] for one in study["instances"]] == ["superseded", "current"]
    assert study["revision"] == 2


def test_changed_pixels_are_quarantined(standing: Node) -> None:
    film = received(standing, chest())
    changed = copy.deepcopy(film)
    changed.PixelData = changed.PixelData[::-1]

    standing.send(changed)

    (study,) = standing.wait_final(film.StudyInstanceUID)
    assert [one["state"] for one in study["instances"]] == ["current", "quarantined"]
    assert study["revision"] == 1
    assert len(study["outputs"]) == 2
    assert happened(standing, film)["instance.quarantined"] == 1
    assert all((standing.data / one["path"]).is_file() for one in study["instances"])


def test_changed_pixels_and_identity_are_quarantined(standing: Node) -> None:
    film = received(standing, chest())
    changed = copy.deepcopy(film)
    changed.PixelData, changed.PatientID = changed.PixelData[::-1], "OTHER"

    standing.send(changed)

    (study,) = standing.wait_final(film.StudyInstanceUID)
    assert [one["state"] for one in study["instances"]] == ["current", "quarantined"]
    (entry,) = [one for one in standing.worklist() if one["study_instance_uid"] == film.StudyInstanceUID]
    assert entry["patient_id"] == film.PatientID
