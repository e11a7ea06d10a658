"""De-identified export: nothing of a patient leaves, the pixels do, and the training can read what left."""

import copy
import csv
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, uid
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from cxr_node.domain.pseudonym import Pseudonyms
from cxr_node.errors import Permanent
from cxr_node.export import profile
from cxr_node.export.deidentify import alias_of, deidentified
from cxr_node.export.run import Export, split_of
from cxr_node.imaging import decode, prepare
from tests.bench import MODEL, Bench, add_result
from tests.films import LOSSY, NEEDS_DCMTK, SYNTAXES, chest, encode, inverted

NAMES = Pseudonyms(b"k" * 32)
TABLE = Path(__file__).parents[1] / "basic_profile.csv"  # PS3.15 2026c, table E.1-1 (docs/operations.md)
IDENTIFIERS = {
    "PatientName": "Zyxwvut^Quorra",
    "PatientID": "PID7QX99",
    "OtherPatientIDs": "OID7QX99",
    "AccessionNumber": "ACC7QX99",
    "PatientBirthDate": "19310713",
    "PatientAddress": "Zyxwvut Lane",
    "ReferringPhysicianName": "Drzyxwvut^Otto",
    "StudyDescription": "Chest of Zyxwvut",
    "PatientComments": "Zyxwvut is unwell",
    "InstitutionName": "Quorra Memorial",
    "StationName": "QUORRA1",
}
TEXTUAL = ("LO", "SH", "PN", "LT", "ST", "UT", "UC", "UR")
WORDS = (b"zyxwvut", b"quorra", b"7qx99", b"19310713", b"drzyxwvut")


def planted(film: FileDataset) -> FileDataset:
    """The film with the patient wherever a film can hold them: header, sequences, private groups, overlays."""
    for keyword, value in IDENTIFIERS.items():
        setattr(film, keyword, value)
    item = Dataset()
    item.PatientName, item.PatientID = film.PatientName, film.PatientID
    film.RequestAttributesSequence = film.ReferencedPatientSequence = Sequence([item])
    film.private_block(0x0099, "Zyxwvut Inc", create=True).add_new(0x01, "LO", "Quorra")
    film.add_new(0x60003000, "OW", b"Zyxwvut7QX99Quor")
    film.add_new(0x60000022, "LO", "Quorra")
    film.add_new(0x50003000, "OW", b"Zyxwvut7QX99Quor")
    film.add_new(0xFFFCFFFC, "OB", b"Quorra")
    film.preamble = b"Zyxwvut ".ljust(128, b"Q")
    return film


def away(film: FileDataset, names: Pseudonyms = NAMES) -> FileDataset:
    alias = alias_of(names, film.get("PatientID"), film.get("IssuerOfPatientID"), str(film.StudyInstanceUID))
    return deidentified(film, decode(film), alias, names)


def written(film: FileDataset) -> bytes:
    stream = BytesIO()
    film.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def table() -> list[tuple[Tag, str]]:  # type: ignore[valid-type]
    with TABLE.open() as stream:
        return [(Tag(int(row["tag"], 16)), row["action"]) for row in csv.DictReader(stream)]


# -- the header


def test_nothing_of_the_patient_is_left() -> None:
    film = planted(chest())
    content = written(away(film)).lower()
    assert [word for word in WORDS if word in content] == []
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert str(film[keyword].value).encode() not in content


def test_it_says_that_and_how_it_was_done() -> None:
    out = away(chest())
    assert (out.PatientIdentityRemoved, out.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    assert [item.CodeValue for item in out.DeidentificationMethodCodeSequence] == ["113100", "113107"]
    assert all(len(text) <= 64 for text in out.DeidentificationMethod)


def test_what_the_profile_keeps_is_nothing_that_the_standard_removes() -> None:
    kept = {*profile.WORDS, *profile.NUMBERS, *profile.TEXTS, *profile.TABLES, *profile.CODES}
    assert not kept & {pydicom.datadict.keyword_for_tag(tag) for tag, _ in table()}


def test_every_attribute_of_table_e_1_1_is_treated_as_the_table_says() -> None:
    """Each that can hold a text gets one of its own; what is removed is gone, and what stays is replaced or empty."""
    film, marks = chest(), []
    for tag, _ in table():
        if dictionary_has_tag(tag) and tag.group > 0x0002 and dictionary_VR(tag) in TEXTUAL:
            marks.append(f"X{tag:08X}")
            film.add_new(tag, dictionary_VR(tag), marks[-1])
    out = away(film)
    content = written(out).decode("latin-1")
    assert len(marks) > 200
    assert [mark for mark in marks if mark in content] == []

    replaced = {"PatientName", "PatientID", *(keyword for pair in profile.DATES for keyword in pair)}
    for tag, action in table():
        if tag in out and out[tag].keyword not in replaced:
            assert out[tag].VR == "UI" if action == "U" else out[tag].is_empty
        assert tag not in out or action != "X"


def test_nothing_is_there_that_the_profile_does_not_name() -> None:
    ours = {
        "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientName", "PatientID", "Rows",
        "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
        "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
        "LongitudinalTemporalInformationModified",
    }  # fmt: skip
    named = {*profile.WORDS, *profile.NUMBERS, *profile.TEXTS, *profile.TABLES, *profile.CODES, *profile.EMPTY}
    named |= {*profile.EMPTY_IF_PRESENT, *(keyword for pair in profile.DATES for keyword in pair)}
    assert {element.keyword for element in away(planted(chest()))} <= named | ours


@pytest.mark.parametrize("keyword", ["BodyPartExamined", "ViewPosition", "ImageType", "Modality", "PatientOrientation"])
def test_a_name_where_a_code_belongs_is_dropped(keyword: str) -> None:
    film = planted(chest())
    setattr(film, keyword, "QUORRA")
    content = written(away(film)).lower()
    assert [word for word in WORDS if word in content] == []


@pytest.mark.parametrize("keyword", ["Manufacturer", "ManufacturerModelName"])
@pytest.mark.parametrize("text", ["Zyxwvut & Sons", "PID7QX99", "ACC7QX99"])
def test_a_name_where_the_maker_belongs_keeps_the_film_here(keyword: str, text: str) -> None:
    with pytest.raises(Permanent) as refused:
        away(planted(chest(**{keyword: text})))
    assert refused.value.code == "IDENTIFIER_LEFT"
    assert text not in refused.value.message


def test_a_code_keeps_its_value_and_gets_our_words() -> None:
    film = chest()
    film.ViewCodeSequence[0].CodeMeaning = "PA of Quorra"
    film.AnatomicRegionSequence[0].CodeValue = "1234"
    out = away(film)
    assert out.ViewCodeSequence[0].CodeMeaning == "postero-anterior"
    assert len(out.AnatomicRegionSequence) == 0


# -- who is who, and when


def test_a_patient_is_the_same_in_all_their_films_and_another_at_another_site() -> None:
    first, second = chest(PatientID="P1"), chest(PatientID="P1")
    other, elsewhere = chest(PatientID="P1", IssuerOfPatientID="B"), Pseudonyms(b"x" * 32)
    assert away(first).PatientID == away(second).PatientID == away(first).PatientName
    assert len({away(first).PatientID, away(other).PatientID, away(first, elsewhere).PatientID}) == 3
    assert away(first).SOPInstanceUID == away(first).SOPInstanceUID != away(first, elsewhere).SOPInstanceUID
    assert uid.UID(away(first).SOPInstanceUID).is_valid


def test_films_without_a_patient_id_are_of_one_patient_a_study() -> None:
    one, other = chest(PatientID=""), chest(PatientID="")
    assert away(one).PatientID != away(other).PatientID


def test_time_between_the_films_of_a_patient_is_kept() -> None:
    moments = [("20260301", "081500"), ("20260302", "235959"), ("20251231", "000000")]
    films = [away(chest(PatientID="P1", StudyDate=day, StudyTime=time)) for day, time in moments]
    before = [datetime.fromisoformat(f"{day}T{time}") for day, time in moments]
    after = [datetime.fromisoformat(f"{film.StudyDate}T{film.StudyTime}") for film in films]
    assert len({late - early for early, late in zip(before, after, strict=True)}) == 1
    assert timedelta(days=-366 - 3651) <= after[0] - before[0] <= timedelta(days=-366)
    assert away(chest(PatientID="P2", StudyDate="20260301")).StudyDate != films[0].StudyDate


@pytest.mark.parametrize(
    ("day", "time", "left"),
    [
        ("20260301", "", 8), ("20260301", "0815", 8), ("20260301", "081500.123", 8), ("", "081500", 0),
        ("00010101", "", 0),
    ],
)  # fmt: skip
def test_dates_that_cannot_be_moved_do_not_stay(day: str, time: str, left: int) -> None:
    out = away(chest(StudyDate=day, StudyTime=time))
    assert len(out.StudyDate) == left
    assert out.StudyDate != day or not day


def test_a_patient_is_in_one_part_of_the_data_and_every_part_has_its_share() -> None:
    parts = [split_of(NAMES, f"P{number}") for number in range(2000)]
    assert parts == [split_of(NAMES, f"P{number}") for number in range(2000)]
    shares = {part: parts.count(part) / len(parts) for part in ("train", "val", "test")}
    assert shares == pytest.approx({"train": 0.7, "val": 0.15, "test": 0.15}, abs=0.04)


# -- the picture


@pytest.mark.parametrize("syntax", [each for each in SYNTAXES if each not in NEEDS_DCMTK], ids=lambda each: each.name)
def test_pixels_are_the_same_values_whatever_they_were_coded_in(syntax: uid.UID) -> None:
    film = planted(encode(chest(), syntax))
    out = pydicom.dcmread(BytesIO(written(away(film))))
    assert np.array_equal(decode(out), decode(film))
    assert np.array_equal(prepare(decode(out), out, 224), prepare(decode(film), film, 224))
    assert (out.get("LossyImageCompression") == "01") == (syntax in LOSSY)


def _signed(film: FileDataset) -> FileDataset:
    film.PixelData = (film.pixel_array.astype(np.int32) - 2000).astype("<i2").tobytes()
    film.BitsStored, film.HighBit, film.PixelRepresentation, film.WindowCenter = 16, 15, 1, "0"
    return film


def _with_table(film: FileDataset) -> FileDataset:
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation = [4096, 0, 12], "for Quorra"
    item.add_new("LUTData", "OW", np.linspace(0, 4095, 4096).astype("<u2")[::-1].tobytes())
    del film.WindowCenter, film.WindowWidth
    film.VOILUTSequence = Sequence([item])
    return film


@pytest.mark.parametrize("make", [inverted, _signed, _with_table])
def test_what_the_values_mean_is_kept(make: Any) -> None:
    film = make(chest())
    out = pydicom.dcmread(BytesIO(written(away(film))))
    assert np.array_equal(prepare(decode(out), out, 224), prepare(decode(film), film, 224))


def test_an_overlay_in_unused_bits_does_not_ride_along() -> None:
    film = chest()
    plain = film.pixel_array.copy()
    film.PixelData = (plain | 0xF000).astype("<u2").tobytes()
    out = away(film)
    assert np.array_equal(np.frombuffer(out.PixelData, "<u2").reshape(plain.shape), plain)


def test_a_comment_in_the_code_stream_does_not_ride_along() -> None:
    film = encode(chest(), uid.JPEGBaseline8Bit)
    stream = film.PixelData
    start = stream.index(b"\xff\xd8") + 2
    comment = b"\xff\xfe\x00\x12Zyxwvut7QX99 abc"
    film.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + comment + stream[start:].rstrip(b"\0")])
    assert b"7QX99" in written(film)
    assert b"7QX99" not in written(away(film))


@pytest.mark.parametrize(
    ("attributes", "leaves"),
    [
        ({"BurnedInAnnotation": "YES"}, False),
        ({"BurnedInAnnotation": None}, True),
        ({"SOPClassUID": uid.SecondaryCaptureImageStorage, "BurnedInAnnotation": None}, False),
        ({"SOPClassUID": uid.SecondaryCaptureImageStorage, "BurnedInAnnotation": "NO"}, True),
    ],
)
def test_a_picture_that_may_have_letters_stays_here(attributes: dict[str, Any], leaves: bool) -> None:
    film = chest(**attributes)
    if leaves:
        assert away(film).SOPClassUID == film.SOPClassUID
    else:
        with pytest.raises(Permanent) as refused:
            away(film)
        assert refused.value.code == "BURNED_IN"


# -- the folder


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "var")
    yield bench
    bench.store.close()


def receive(bench: Bench, *films: FileDataset, probability: float = 0.75) -> None:
    for film in films:
        bench.send(film)
        with bench.store.transaction() as tx:
            newest = tx.row("SELECT digest FROM instance ORDER BY id DESC LIMIT 1")
            assert newest is not None
            add_result(tx, newest["digest"], probability)


def export(bench: Bench, out: Path, *studies: str, since: float = 0.0) -> Any:
    made = Export(bench.store, bench.spool, NAMES, out, bench.root / "exports", "jane", time.time)
    return made.run(made.found(since, studies))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_an_export_is_films_a_manifest_and_who_was_who_apart(bench: Bench, tmp_path: Path) -> None:
    films = [planted(chest()), planted(chest()), planted(chest(BurnedInAnnotation="YES"))]
    receive(bench, *films)
    bench.send(chest(7, PatientID="NOT-ANALYSED"))
    out = tmp_path / "out"

    outcome = export(bench, out)

    assert (outcome.films, outcome.studies, outcome.left_out) == (2, 2, 1)
    manifest = rows(out / "manifest.csv")
    assert {row["path"] for row in manifest} == {
        str(path.relative_to(out)) for path in out.rglob("*") if path.suffix not in (".csv", "")
    }
    (first, second) = manifest
    assert first["patient_id"] == second["patient_id"]
    assert (first["label"], first["view"], first["finding"], first["model"]) == (
        "unknown",
        "PA",
        "pneumonia",
        MODEL.name,
    )
    assert float(first["probability"]) == 0.75
    assert [row["code"] for row in rows(out / "left_out.csv")] == ["BURNED_IN"]

    assert outcome.mapping.stat().st_mode & 0o777 == 0o600
    assert outcome.mapping.parent.stat().st_mode & 0o777 == 0o700
    assert {row["original_study"] for row in rows(outcome.mapping)} == {
        str(film.StudyInstanceUID) for film in films[:2]
    }
    assert {row["original_patient_id"] for row in rows(outcome.mapping)} == {"PID7QX99"}

    everything = b"".join(path.read_bytes() + str(path).encode() for path in out.rglob("*") if path.is_file()).lower()
    assert [word for word in WORDS if word in everything] == []
    assert not any(str(film.StudyInstanceUID).encode() in everything for film in films)


def test_what_leaves_stands_in_the_audit_trail(bench: Bench, tmp_path: Path) -> None:
    film = chest(PatientID="P1", AccessionNumber="A1")
    receive(bench, film)
    export(bench, tmp_path / "out")
    (row,) = bench.rows("SELECT * FROM event WHERE event = 'export.made'")
    detail = json.loads(row["detail"])
    assert row["study_instance_uid"] == film.StudyInstanceUID
    assert (detail["by"], detail["patient_id"], detail["accession_number"]) == ("jane", "P1", "A1")
    assert detail["classes"] == {str(film.SOPClassUID): 1}
    assert detail["folder"] == str(tmp_path / "out")


def test_the_training_reads_what_was_exported(bench: Bench, tmp_path: Path) -> None:
    data = pytest.importorskip("training.data")
    pictures = pytest.importorskip("training.pictures")
    plain = pytest.importorskip("training.recipe").PrepareRecipe()
    films = [chest(), chest()]
    receive(bench, *films)
    export(bench, tmp_path / "out")
    read = data.read_manifest(tmp_path / "out")
    assert len(read) == 2
    assert data.trainable(read, {read[0].source}, read[0].split) == []  # until somebody has labelled them
    mapping = rows(next((bench.root / "exports").iterdir()))
    original = {row["instance"]: row["original_instance"] for row in mapping}
    for each in read:
        (film,) = [film for film in films if str(film.SOPInstanceUID) == original[each.path.stem]]
        assert np.array_equal(pictures.prepared_film(each, 224, plain), prepare(decode(film), film, 224))


def test_only_what_was_asked_for(bench: Bench, tmp_path: Path) -> None:
    films = [chest(), chest(), chest()]
    receive(bench, films[0])
    bench.clock.turn(3600)
    receive(bench, *films[1:])
    assert export(bench, tmp_path / "late", since=bench.clock()).films == 2
    assert export(bench, tmp_path / "one", str(films[0].StudyInstanceUID)).films == 1
    with pytest.raises(Permanent) as refused:
        export(bench, tmp_path / "none", "1.2.3")
    assert refused.value.code == "STUDY_UNKNOWN"
    assert not (tmp_path / "none").exists()


def test_a_film_that_is_gone_is_left_out_and_the_others_leave(bench: Bench, tmp_path: Path) -> None:
    receive(bench, chest(), chest())
    next((bench.root / "films").rglob("*.dcm")).unlink()
    outcome = export(bench, tmp_path / "out")
    assert (outcome.films, outcome.left_out) == (1, 1)
    assert rows(tmp_path / "out" / "left_out.csv")[0]["code"] == "FILE_MISSING"


@pytest.mark.parametrize("place", ["full", "file", "var/out"])
def test_only_an_empty_folder_outside_of_the_node_will_do(bench: Bench, tmp_path: Path, place: str) -> None:
    receive(bench, chest())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    (tmp_path / "file").touch()
    with pytest.raises(Permanent) as refused:
        export(bench, tmp_path / place)
    assert refused.value.code == "EXPORT_FOLDER"
    assert bench.rows("SELECT * FROM event WHERE event = 'export.made'") == []


def test_an_empty_folder_will_do(bench: Bench, tmp_path: Path) -> None:
    receive(bench, chest())
    (tmp_path / "out").mkdir()
    assert export(bench, tmp_path / "out").films == 1
    assert list((tmp_path / "out").rglob("*.part")) == []


def test_a_corrected_film_leaves_once(bench: Bench, tmp_path: Path) -> None:
    film = chest()
    other = copy.deepcopy(film)
    other.PatientSex = "M"
    receive(bench, film)
    bench.send(other)  # waits to be compared: it is not in use
    assert export(bench, tmp_path / "out").films == 1
