"""Objects that cannot be taken for a film: each is answered as it deserves, and its bytes are kept where they count."""

from pathlib import Path

import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset

from tests.fault.damage import data_set, put
from tests.films import chest
from tests.node import Node

pytestmark = pytest.mark.fault

NOT_UNDERSTOOD, MISMATCH = 0xC000, 0xA900


def quarantined(node: Node, path: Path) -> bool:
    """Whether the data set of the file at `path` is kept aside, bit for bit, and is no part of any study."""
    kept = [file for file in node.files("quarantine") if file.read_bytes().endswith(data_set(path))]
    noted = [event["path"] for event in node.events("object.quarantined")]
    return len(kept) == 1 and str(kept[0].relative_to(node.data)) in noted


def offset_of(path: Path, keyword: str) -> int:
    """Where the value of an element begins in a file."""
    return int(pydicom.dcmread(path, defer_size=1)[keyword].file_tell or 0)


SYNTAXES = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_truncated_pixel_data(standing: Node, syntax: str) -> None:
    refuses_truncated(standing, "PixelData", 20_000, syntax)


@pytest.mark.parametrize("further", [("WindowCenter", 2), ("ViewPosition", -3), ("StudyDescription", -6)])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_truncated_header(standing: Node, further: tuple[str, int], syntax: str) -> None:
    refuses_truncated(standing, *further, syntax)


def refuses_truncated(standing: Node, keyword: str, further: int, syntax: str) -> None:
    film = chest()
    film.file_meta.TransferSyntaxUID = uid.UID(syntax)
    path = standing.written(film)
    path.write_bytes(path.read_bytes()[: offset_of(path, keyword) + further])

    standing.send(path, expect=NOT_UNDERSTOOD)

    assert quarantined(standing, path)
    assert not standing.study(film.StudyInstanceUID)


def test_bytes_that_are_no_data_set(standing: Node) -> None:
    path = standing.written(chest())
    path.write_bytes(path.read_bytes().removesuffix(data_set(path)) + bytes(range(256)) * 8)

    standing.send(path, expect=NOT_UNDERSTOOD)

    assert quarantined(standing, path)


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_uid(standing: Node, keyword: str, value: str | None) -> None:
    film = chest()
    setattr(film, keyword, value) if value is not None else delattr(film, keyword)
    path = standing.written(film)

    said = standing.send(path, expect=MISMATCH)

    assert keyword in said
    assert quarantined(standing, path)


INVALID = {"65 characters": "1." + "2" * 63, "letters": "1.2.abc.3", "a path": "../../x", "only dots": "..."}


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", INVALID.values(), ids=INVALID.keys())
def test_an_invalid_uid(standing: Node, keyword: str, value: str) -> None:
    film = chest()
    put(film, keyword, value)
    if keyword == "SOPInstanceUID" and len(value) <= 64:
        put(film.file_meta, "MediaStorageSOPInstanceUID", value)
    before = {path for path in standing.data.rglob("*") if "quarantine" not in path.parts}
    path = standing.written(film)

    said = standing.send(path, expect=MISMATCH)

    assert keyword in said
    assert quarantined(standing, path)
    assert {path for path in standing.data.rglob("*") if "quarantine" not in path.parts} <= before


def test_uids_of_64_characters(standing: Node) -> None:
    longest = [f"1.2.{digit * 60}" for digit in "345"]
    film = chest(SOPInstanceUID=longest[0], StudyInstanceUID=longest[1], SeriesInstanceUID=longest[2])

    standing.send(film)

    (study,) = standing.wait_final(longest[1])
    assert [one["sop_instance_uid"] for one in study["instances"]] == [longest[0]]
    assert [one["kind"] for one in study["outputs"]] == ["sr", "sc"]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("SOPInstanceUID", "1.2.3.4"), ("SOPClassUID", uid.ComputedRadiographyImageStorage)],
    ids=["instance", "class"],
)
def test_a_command_that_disagrees_with_its_data_set(standing: Node, keyword: str, value: str) -> None:
    film = chest()
    setattr(film.file_meta, f"MediaStorage{keyword}", uid.UID(value))
    path = standing.written(film)

    assert "differ from those of the command" in standing.send(path, expect=MISMATCH)

    assert quarantined(standing, path)


def test_an_unknown_transfer_syntax(standing: Node) -> None:
    film = chest()
    class_uid = film.SOPClassUID
    with standing.association((class_uid, "1.2.3.999")) as association:
        assert not association.is_established
    with standing.association((class_uid, "1.2.3.999"), (class_uid, uid.ExplicitVRLittleEndian)) as association:
        assert association.is_established
        assert [refused.transfer_syntax for refused in association.rejected_contexts] == [["1.2.3.999"]]
        assert association.send_c_store(standing.written(film)).Status == 0x0000


def along_the_way(sop_class: str, modality: str, **attributes: str) -> FileDataset:
    """A small object of another kind than a film."""
    film = chest()
    other = FileDataset("", {}, file_meta=film.file_meta, preamble=bytes(128))
    other.SOPClassUID, other.SOPInstanceUID, other.Modality = uid.UID(sop_class), film.SOPInstanceUID, modality
    other.StudyInstanceUID, other.SeriesInstanceUID = film.StudyInstanceUID, film.SeriesInstanceUID
    other.file_meta.MediaStorageSOPClassUID = other.SOPClassUID
    for keyword, value in attributes.items():
        setattr(other, keyword, value)
    return other


OTHERS = {
    "GSPS": (uid.GrayscaleSoftcopyPresentationStateStorage, "PR"),
    "KOS": (uid.KeyObjectSelectionDocumentStorage, "KO"),
    "RDSR": (uid.XRayRadiationDoseSRStorage, "SR"),
    "text SR": (uid.BasicTextSRStorage, "SR"),
    "capture of a screen": (uid.SecondaryCaptureImageStorage, "OT"),
}


def dropped(node: Node, sent: Dataset) -> bool:
    events = [event for event in node.events("object.dropped") if event["sop_instance_uid"] == sent.SOPInstanceUID]
    return len(events) == 1 and not any(sent.StudyInstanceUID == e["study_instance_uid"] for e in node.worklist())


@pytest.mark.parametrize(("sop_class", "modality"), OTHERS.values(), ids=OTHERS.keys())
def test_other_objects_of_a_route_are_dropped_with_success(standing: Node, sop_class: str, modality: str) -> None:
    other = along_the_way(sop_class, modality)
    films = standing.files("films")

    standing.send(other)

    assert dropped(standing, other)
    assert standing.files("films") == films


def test_our_own_documents_come_back(standing: Node) -> None:
    film = chest()
    standing.send(film)
    (study,) = standing.wait_final(film.StudyInstanceUID)
    paths = [standing.data / output["path"] for output in study["outputs"]]
    assert len(paths) == 2

    standing.send(*paths)

    standing.wait_idle()
    assert len(standing.study(film.StudyInstanceUID)["outputs"]) == 2
    ours = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in paths}
    assert ours <= {event["sop_instance_uid"] for event in standing.events("object.dropped")}
