"""Headers as they come from the field: what is odd about them neither stops the node nor spoils its documents."""

import re
from pathlib import Path
from subprocess import run
from typing import Any

import pydicom
import pytest
from pydicom.dataset import FileDataset

from tests.fault.damage import put
from tests.films import chest
from tests.node import Node

pytestmark = pytest.mark.fault

DCIODVFY = "/usr/bin/dciodvfy"


def faults(path: Path) -> list[str]:
    """The errors that dciodvfy prints for an object."""
    said = run([DCIODVFY, path], capture_output=True, text=True, check=False, errors="replace")
    return [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]


def documents(node: Node, film: FileDataset) -> list[Path]:
    """The SR and the SC of a film, once the node has made them."""
    node.send(film)
    (study,) = node.wait_final(film.StudyInstanceUID)
    assert [output["kind"] for output in study["outputs"]] == ["sr", "sc"], study["events"]
    return [node.data / output["path"] for output in study["outputs"]]


NAMES = {
    "Japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Japanese, half width": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Arabic": ("ISO_IR 127", "قباني^لنزار"),
    "Greek": ("ISO_IR 126", "Διονυσιος"),
    "Cyrillic": ("ISO_IR 144", "Люкceмбypг"),
    "GB18030": ("GB18030", "Wang^XiaoDong=王^小东"),
    "UTF-8": ("ISO_IR 192", "Wang^XiaoDong=王^小東=홍^길동"),
}


@pytest.mark.peers
@pytest.mark.parametrize(("character_set", "name"), NAMES.values(), ids=NAMES.keys())
def test_names_in_every_script(standing: Node, character_set: str | list[str], name: str) -> None:
    film = chest(SpecificCharacterSet=character_set, PatientName=name)

    for path in documents(standing, film):
        assert pydicom.dcmread(path).PatientName == name
        assert faults(path) == []


# What says whose film it is goes into our documents as it stands: mended, it would be another patient's.
IDENTITY = {"0x0008,0x0050", "0x0010,0x0010", "0x0010,0x0020", "0x0010,0x0030", "0x0010,0x0040"}


def faulted(path: Path) -> set[str]:
    """The attributes in which dciodvfy finds an error."""
    found = faults(path)
    tags = [re.search(r"\((0x[0-9a-f]{4},0x[0-9a-f]{4})\)", line) for line in found]
    assert not found or any(tags)
    return {tag[1] for tag in tags if tag}


FAULTS: dict[str, Any] = {
    "PatientSex": "female",
    "PatientBirthDate": "29.02.1960",
    "PatientAge": "66",
    "StudyDate": "2026-03-01",
    "StudyTime": "8:15",
    "AccessionNumber": "A" * 40,
    "StudyID": "S" * 40,
    "StudyDescription": "D" * 100,
    "PatientID": "I" * 80,
    "Manufacturer": "M" * 90,
    "PatientOrientation": ["left", "foot"],
    "Laterality": "both",
    "ContentDate": "today",
    "ReferringPhysicianName": "A=B=C=D=E",
}


@pytest.mark.peers
def test_a_faulty_header_makes_documents_whose_only_faults_are_in_the_identity(standing: Node) -> None:
    film = chest(SeriesNumber=None)
    for keyword, value in FAULTS.items():
        put(film, keyword, value)
    assert len(faults(standing.written(film))) > 5

    for path in documents(standing, film):
        assert faulted(path) <= IDENTITY


WRONG: dict[str, tuple[str, str, Any]] = {
    "a number for a name": ("PatientName", "US", 16961),
    "bytes for an identifier": ("PatientID", "OB", b"\x00\x01\xfe\xff"),
    "bytes for a body part": ("BodyPartExamined", "OB", b"CHEST\x00"),
    "a number for a view": ("ViewPosition", "FD", 1.5),
    "a text for a sequence": ("AnatomicRegionSequence", "LO", "chest"),
    "a sequence for a text": ("StudyDescription", "SQ", [pydicom.Dataset()]),
    "a number for a date": ("StudyDate", "US", 2026),
    "an age without a unit": ("PatientAge", "US", 66),
    "a number for an accession": ("AccessionNumber", "UL", 1145258561),
    "a text for a window": ("WindowCenter", "LO", "middle"),
    "a text for bits": ("BitsStored", "LO", "12"),
}


@pytest.mark.peers
@pytest.mark.parametrize(("keyword", "vr", "value"), WRONG.values(), ids=WRONG.keys())
def test_wrong_value_representations(standing: Node, keyword: str, vr: str, value: Any) -> None:
    film = chest()
    put(film, keyword, value, vr)

    standing.send(film)

    (study,) = standing.wait_final(film.StudyInstanceUID)
    refused = study["instances"][0]["refusal"] or [e for e in study["events"] if e.get("code") == "BAD_HEADER"]
    assert refused or [output["kind"] for output in study["outputs"]] == ["sr", "sc"], study["events"]
    assert [faults(standing.data / output["path"]) for output in study["outputs"]] in ([], [[], []])


@pytest.mark.peers
@pytest.mark.parametrize("keyword", ["PatientName", "AccessionNumber"])
def test_control_characters(standing: Node, keyword: str) -> None:
    film = chest()
    put(film, keyword, "A\x07B")

    for path in documents(standing, film):
        assert faulted(path) <= IDENTITY
        assert pydicom.dcmread(path)[keyword].value == film[keyword].value


def test_rows_that_are_no_number(standing: Node) -> None:
    film = chest()
    put(film, "Rows", "many", "LO")

    standing.send(film)

    (study,) = standing.wait_final(film.StudyInstanceUID)
    assert study["instances"][0]["refusal"]["code"] == "NO_SIZE"
