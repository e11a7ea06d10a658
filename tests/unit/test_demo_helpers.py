"""The films that the other tests are made of hold what they promise."""

import shutil

import numpy as np
import pytest
from pydicom.uid import UID

from cxr_node.demo.phantom import Opacity
from tests.films import LOSSY, NEEDS_DCMTK, SYNTAXES, change, chest, encode, inverted, lateral, leg

has_dcmtk = shutil.which("dcmcjpeg") is not None


def test_every_film_is_of_a_new_patient_study_and_instance() -> None:
    films = [chest() for _ in range(3)]
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber"):
        assert len({str(film[keyword].value) for film in films}) == 3


def test_a_number_gives_the_same_film_again() -> None:
    assert chest(41) == chest(41)


def test_attributes_are_set_emptied_and_removed() -> None:
    film = chest(PatientID="X1", StudyID="", ViewPosition=None, SOPInstanceUID="1.2.3")
    assert (film.PatientID, film.StudyID) == ("X1", "")
    assert "ViewPosition" not in film
    assert film.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert change(film, SOPInstanceUID="1.2.4").file_meta.MediaStorageSOPInstanceUID == "1.2.4"


def test_pixels_and_opacities_are_shown() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(chest(pixels=values, bits=8).pixel_array, values)
    assert chest(1, opacities=[Opacity(0.3, 0.5, 3)]).pixel_array.mean() > chest(1).pixel_array.mean()


def test_the_other_films_say_what_they_are() -> None:
    assert lateral().ViewPosition == "LL"
    assert lateral(ViewPosition="RL").ViewPosition == "RL"
    assert leg().BodyPartExamined == "LEG"
    film = chest(2)
    assert np.array_equal(inverted(film).pixel_array, 4095 - film.pixel_array)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: UID(syntax).keyword)
def test_a_film_survives_its_transfer_syntax(syntax: str) -> None:
    if syntax in NEEDS_DCMTK and not has_dcmtk:
        pytest.skip("dcmtk is not installed")
    film = chest(5)
    encoded = encode(film, syntax)
    shift = film.BitsStored - encoded.BitsStored
    difference = np.abs(encoded.pixel_array.astype(int) - (film.pixel_array >> shift))
    assert encoded.file_meta.TransferSyntaxUID == syntax
    assert encoded.SOPInstanceUID == film.SOPInstanceUID
    assert difference.max() == 0 or syntax in LOSSY
    assert difference.mean() < 20
