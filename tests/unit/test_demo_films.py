"""What the demonstration plays: valid films, different patients, stable UIDs, and reports instead of crashes."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset

from cxr_node.demo.dx import presentation_film
from cxr_node.demo.films import (
    PROGRAMME,
    Film,
    Phantom,
    Specimen,
    demo_films,
    films_from,
    installed,
    phantom_dataset,
    wrap_image,
)
from cxr_node.errors import Permanent
from tests.films import chest, write

MADE = datetime(2026, 3, 1, 8, 15, tzinfo=UTC)
EXIF_ORIENTATION = 0x0112
needs_dciodvfy = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")


def errors(film: FileDataset, folder: Path) -> list[str]:
    """What dciodvfy calls an error in `film`."""
    path = write(film, folder / "film.dcm")
    said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr
    return [line for line in said.splitlines() if line.startswith("Error")]


def picture(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


def ramp(rows: int = 40, columns: int = 60) -> np.ndarray:
    return np.linspace(0, 255, rows * columns).reshape(rows, columns).astype(np.uint8)


# --- phantoms


def small(number: int = 1, made: datetime = MADE) -> FileDataset:
    return phantom_dataset(Phantom(number, "CLEAR"), made, rows=256, columns=224)


@pytest.mark.peers
@needs_dciodvfy
def test_a_phantom_is_a_valid_digital_x_ray_image(tmp_path: Path) -> None:
    assert errors(small(), tmp_path) == []


def test_a_phantom_says_so_everywhere() -> None:
    film = small()
    assert film.PatientID == "PHANTOM-01"
    assert film.PatientName == "PHANTOM^CLEAR"
    assert "PHANTOM" in film.StudyDescription
    assert "PHANTOM" in film.SeriesDescription
    assert film.QualityControlImage == "YES"
    assert (film.Modality, film.BodyPartExamined, film.ViewPosition) == ("DX", "CHEST", "PA")
    assert film.PhotometricInterpretation == "MONOCHROME2"
    assert film.pixel_array.shape == (256, 224)


def test_a_phantom_of_another_moment_or_patient_is_another_study() -> None:
    film, again, later, other = small(), small(), small(made=MADE.replace(hour=9)), small(2)
    assert film.SOPInstanceUID == again.SOPInstanceUID
    assert film.StudyInstanceUID == again.StudyInstanceUID
    assert len({each.StudyInstanceUID for each in (film, later, other)}) == 3
    assert len({each.AccessionNumber for each in (film, later, other)}) == 3


def test_a_film_refuses_pixels_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="8 bits hold"):
        presentation_film(np.full((4, 4), 256, np.uint16), 8, 0.2, "x")
    with pytest.raises(ValueError, match="rows and columns"):
        presentation_film(np.zeros((2, 4, 4), np.uint8), 8, 0.2, "x")


# --- the programme


def test_the_programme_has_two_real_films_among_growing_opacities_that_do_not_arrive_by_severity() -> None:
    phantoms = [entry for entry in PROGRAMME if isinstance(entry, Phantom)]
    burden = [sum(opacity.radius**3 * opacity.density for opacity in entry.opacities) for entry in phantoms]
    assert len({entry.number for entry in phantoms}) == len(phantoms) == 6
    assert burden.count(0) == 2
    assert burden != sorted(burden)
    assert burden != sorted(burden, reverse=True)
    assert [entry.file for entry in PROGRAMME if isinstance(entry, Specimen)] == ["RG3_UNCR.dcm", "RG1_J2KR.dcm"]


def test_without_pydicom_data_the_phantoms_go_on_alone_and_it_is_said() -> None:
    said: list[str] = []
    first = next(demo_films(MADE, said.append, find=lambda _: None))
    assert first.title == "phantom 1: clear"
    assert said == ["pydicom-data (extra: demo) is not installed, so RG1_J2KR.dcm and RG3_UNCR.dcm cannot be shown."]


def test_every_film_of_the_programme_is_of_another_patient() -> None:
    said: list[str] = []
    films = list(demo_films(MADE, said.append))
    headers = [
        each.content if isinstance(each.content, FileDataset) else pydicom.dcmread(each.content) for each in films
    ]
    assert said == []
    assert len(films) == len(PROGRAMME)
    assert len({str(header.PatientID) for header in headers}) == len(films)
    assert len({str(header.StudyInstanceUID) for header in headers}) == len(films)
    assert headers[0].pixel_array.shape == (2048, 1792)


def test_the_specimens_are_what_the_programme_says() -> None:
    leg, film = (pydicom.dcmread(path) for file in ("RG3_UNCR.dcm", "RG1_J2KR.dcm") if (path := installed(file)))
    assert leg.BodyPartExamined == "EXTREMITY"
    assert (film.BodyPartExamined, film.PhotometricInterpretation) == ("CHEST", "MONOCHROME1")
    assert film.file_meta.TransferSyntaxUID == pydicom.uid.JPEG2000Lossless
    assert installed("no_such_film.dcm") is None


# --- pictures


@pytest.mark.peers
@needs_dciodvfy
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_becomes_a_valid_digital_x_ray_image(tmp_path: Path, suffix: str) -> None:
    path = picture(tmp_path / f"señor 7.{suffix}", ramp(41, 61))
    assert errors(wrap_image(path), tmp_path) == []


def test_a_picture_keeps_its_values(tmp_path: Path) -> None:
    values = ramp()
    assert np.array_equal(wrap_image(picture(tmp_path / "a.png", values)).pixel_array, values)


def test_sixteen_bits_stay_sixteen(tmp_path: Path) -> None:
    values = (ramp().astype(np.uint16) * 257)[::-1]
    film = wrap_image(picture(tmp_path / "a.png", values))
    assert film.BitsStored == 16
    assert np.array_equal(film.pixel_array, values)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1", "CMYK"])
def test_every_kind_of_picture_turns_grey(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new("L", (6, 4), 255).convert(mode).save(path)
    film = wrap_image(path)
    assert film.pixel_array.shape == (4, 6)
    assert film.pixel_array.min() >= 250


def test_a_jpeg_confesses_its_losses_and_a_png_has_none(tmp_path: Path) -> None:
    lossy, lossless = wrap_image(picture(tmp_path / "a.jpg", ramp())), wrap_image(picture(tmp_path / "a.png", ramp()))
    assert (lossy.LossyImageCompression, lossy.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert lossy.LossyImageCompressionRatio >= 1
    assert lossless.LossyImageCompression == "00"


def test_the_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6  # the camera was turned: rotate clockwise to stand upright
    path = tmp_path / "a.png"
    Image.fromarray(ramp()).save(path, exif=exif)
    assert np.array_equal(wrap_image(path).pixel_array, np.rot90(ramp(), -1))


def test_the_same_file_is_the_same_instance_and_another_is_not(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    first = wrap_image(picture(tmp_path / "a.png", ramp()))
    copied = wrap_image(picture(tmp_path / "copy" / "a.png", ramp()))
    renamed = wrap_image(picture(tmp_path / "b.png", ramp()))
    changed = wrap_image(picture(tmp_path / "a.png", ramp() // 2))
    assert first == copied
    assert len({each.SOPInstanceUID for each in (first, renamed, changed)}) == 3
    assert len({each.StudyInstanceUID for each in (first, renamed, changed)}) == 3


@pytest.mark.parametrize(
    ("stem", "patient"),
    [
        ("case 01", "case 01"),
        ("señor-7_b", "señor-7_b"),
        ("a^b=c\\d", "a_b_c_d"),
        ("x" * 100, "x" * 64),
        ("  ", "PICTURE"),
    ],
)
def test_the_patient_is_named_after_the_file(tmp_path: Path, stem: str, patient: str) -> None:
    film = wrap_image(picture(tmp_path / f"{stem}.png", ramp()))
    assert film.PatientID == patient
    assert len(str(film.PatientName)) <= 64
    assert re.fullmatch(r".+\^PICTURE", str(film.PatientName))


def test_what_is_no_picture_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    whole = picture(tmp_path / "whole.jpg", ramp()).read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    Image.new("RGB", (4, 4)).save(tmp_path / "gif.png", "GIF")
    for name in ("text.png", "empty.jpg", "half.jpg", "gif.png", "missing.png"):
        with pytest.raises(Permanent, match=name) as caught:
            wrap_image(tmp_path / name)
        assert caught.value.code == "NO_PICTURE"


# --- folders


def test_a_folder_is_played_by_name_and_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    original = write(chest(PatientID="KEPT"), tmp_path / "b" / "film").read_bytes()
    picture(tmp_path / "a.PNG", ramp())
    picture(tmp_path / "c.jpeg", ramp())
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "notes.txt").write_text("not a film")
    (tmp_path / "DICOMDIR").write_bytes(b"")
    (tmp_path / ".hidden").mkdir()
    picture(tmp_path / ".hidden" / "d.png", ramp())
    said: list[str] = []
    films: list[Film] = list(films_from(tmp_path, said.append))
    assert [film.title for film in films] == ["a.PNG", str(Path("b", "film")), "c.jpeg"]
    assert films[1].content == tmp_path / "b" / "film"
    assert Path(str(films[1].content)).read_bytes() == original
    assert [sentence.split()[0] for sentence in said] == [str(tmp_path / "broken.jpg"), str(tmp_path / "notes.txt")]


def test_a_dicom_file_without_an_instance_is_said(tmp_path: Path) -> None:
    write(chest(), tmp_path / "a.dcm")
    (tmp_path / "b.dcm").write_bytes(bytes(128) + b"DICM")
    said: list[str] = []
    assert [film.title for film in films_from(tmp_path, said.append)] == ["a.dcm"]
    assert len(said) == 1
    assert "b.dcm" in said[0]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="is not a folder"):
        next(films_from(tmp_path / "missing", print))
