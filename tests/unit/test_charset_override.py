"""A sender that misstates its character set: the site says what it really is."""

from pathlib import Path

import pytest

from cxr_node.documents.received import Received
from cxr_node.imaging.instance import read_instance
from cxr_node.imaging.part10 import read_complete, read_film_header
from tests.films import chest, write


@pytest.fixture
def misstated(tmp_path: Path) -> Path:
    """A film in Cyrillic that claims to be in ASCII."""
    path = write(
        chest(SpecificCharacterSet="ISO_IR 144", PatientName="Иванов^Иван", PatientID="ИВ-1"), tmp_path / "film.dcm"
    )
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 144", b"ISO_IR 6  "))
    return path


def test_the_override_is_used_for_the_worklist(misstated: Path) -> None:
    assert read_instance(read_complete(misstated)).patient_id != "ИВ-1"
    assert read_instance(read_complete(misstated, "ISO_IR 144")).patient_id == "ИВ-1"


def test_the_override_is_used_for_documents(misstated: Path) -> None:
    assert Received(read_film_header(misstated, "ISO_IR 144")).text("PatientName") == "Иванов^Иван"
