"""`cxr-node analyze` as a process, on everything that people keep films in."""

import csv
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import JPEGLSLossless

from tests import films
from tests.fault.damage import put

KEYS = {
    "file", "state", "reason", "positive", "threshold", "finding", "probability", "probabilities", "tier", "model",
    "version", "picture", "flags",
}  # fmt: skip


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cxr_node", "analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)


@dataclass(frozen=True)
class Run:
    """One run with the arguments `given`: over `folder` and more, into `out`."""

    folder: Path
    out: Path
    given: tuple[object, ...]
    done: subprocess.CompletedProcess[str]

    def __getitem__(self, name: str) -> dict[str, Any]:
        (found,) = [result for result in self.results if result["file"].endswith(name)]
        return found

    @property
    def results(self) -> list[dict[str, Any]]:
        return list(json.loads((self.out / "results.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("films")
    films.write(films.chest(901), folder / "film.dcm")
    films.write(films.encode(films.chest(902), JPEGLSLossless), folder / "deeper" / "film.dcm")
    films.write(films.leg(903), folder / "1.2.3.4")
    grey = (films.chest(904).pixel_array >> 4).astype(np.uint8)
    Image.fromarray(grey).save(folder / "film.png")
    Image.fromarray(grey).save(folder / "photo.JPG")
    Image.fromarray(np.full((300, 300), 7, np.uint8)).save(folder / "blank.png")
    (folder / "broken.dcm").write_bytes(b"not DICOM")
    (folder / "cut.jpg").write_bytes((folder / "photo.JPG").read_bytes()[:200])
    (folder / "notes.txt").write_text("no film")
    single = films.write(films.chest(905), tmp_path_factory.mktemp("single") / "FILM.dcm")
    out = tmp_path_factory.mktemp("parent") / "out"
    given = (folder, single, folder / "film.png", "--out", out)
    return Run(folder, out, given, run(*given))


def test_fails_for_the_broken_files_and_does_the_rest(analysed: Run) -> None:
    assert analysed.done.returncode == 1
    errors = analysed.done.stderr.splitlines()
    assert len(errors) == 2 and "broken.dcm" in errors[0] and "cut.jpg" in errors[1]
    assert analysed.done.stdout.startswith("5 analysed, 2 not analysed, 2 with errors")
    states = {Path(result["file"]).name: result["state"] for result in analysed.results}
    assert states["broken.dcm"] == states["cut.jpg"] == "error"
    assert "notes.txt" not in states
    assert len(analysed.results) == 9  # film.png, given twice, is one


def test_results_have_the_shape_of_the_contract(analysed: Run) -> None:
    for result in analysed.results:
        assert result.keys() >= KEYS
        assert (result["model"], result["tier"] in ("high", "medium", "none")) == ("cxr-pneumonia", True)
        if result["state"] == "analysed":
            assert result["reason"] is None
            assert result["positive"] == (result["probability"] >= result["threshold"])
            assert result["finding"] == ("pneumonia" if result["positive"] else None)
            assert sum(result["probabilities"].values()) == pytest.approx(1)
            assert result["probabilities"]["normal"] == pytest.approx(1 - result["probability"])
        else:
            assert result["reason"]
            assert result["probability"] is result["positive"] is result["picture"] is None


def test_the_page_shows_every_picture(analysed: Run) -> None:
    page = (analysed.out / "index.html").read_text("utf-8")
    assert "5 analysed, 2 not analysed, 2 with errors" in page
    assert page.count("<img ") == 5
    assert "value 7" in page


def test_table_says_the_same(analysed: Run) -> None:
    with (analysed.out / "results.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == [result["file"] for result in analysed.results]
    for row, result in zip(rows, analysed.results, strict=True):
        if result["state"] == "analysed":
            assert float(row["probabilities.viral_pneumonia"]) == result["probabilities"]["viral_pneumonia"]


def test_refuses_what_is_no_chest_film_with_the_reason(analysed: Run) -> None:
    assert analysed["1.2.3.4"]["state"] == analysed["blank.png"]["state"] == "not_analysed"
    assert "Body Part Examined (0018,0015) is 'LEG'" in analysed["1.2.3.4"]["reason"]
    assert "value 7" in analysed["blank.png"]["reason"]


def test_every_film_has_its_own_picture(analysed: Run) -> None:
    pictures = [result["picture"] for result in analysed.results if result["state"] == "analysed"]
    assert len({picture.casefold() for picture in pictures}) == len(pictures) == 5
    for picture in pictures:
        with Image.open(analysed.out / picture) as opened:
            assert opened.height == 776 and opened.width > 1200


def test_dicom_films_have_documents_and_pictures_have_none(analysed: Run) -> None:
    for result in analysed.results:
        if result["state"] == "analysed" and result["file"].endswith(".dcm"):
            source = pydicom.dcmread(result["file"], stop_before_pixels=True)
            report, heatmap = (pydicom.dcmread(analysed.out / result[kind]) for kind in ("sr", "sc"))
            assert report.StudyInstanceUID == heatmap.StudyInstanceUID == source.StudyInstanceUID
            assert (report.Modality, heatmap.SOPClassUID.name) == ("SR", "Secondary Capture Image Storage")
        else:
            assert result["sr"] is result["sc"] is None


def test_again_it_writes_the_same(analysed: Run) -> None:
    def digests() -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in analysed.out.iterdir()}

    before = digests()
    assert run(*analysed.given, "--explain", "cam").returncode == 1
    assert digests() == before


def test_what_is_wrong_with_a_film_is_said_without_its_values(tmp_path: Path) -> None:
    film = films.chest()
    put(film, "StudyInstanceUID", "1.2.Zyxwvut")
    films.write(film, tmp_path / "film.dcm")
    done = run(tmp_path, "--out", tmp_path / "out")
    said = done.stdout + done.stderr + (tmp_path / "out" / "results.json").read_text("utf-8")
    assert done.returncode == 1
    assert "StudyInstanceUID (0020,000D) is not a UID" in said
    assert "Zyxwvut" not in said


@pytest.mark.parametrize("explain", ["gradcam", "occlusion"])
def test_another_explanation_makes_other_documents(analysed: Run, explain: str, tmp_path: Path) -> None:
    def documents() -> list[str]:
        return [
            pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in sorted(tmp_path.glob("*.dcm"))
        ]

    film = analysed.folder / "film.dcm"
    assert run(film, "--out", tmp_path).returncode == 0
    before = documents()
    assert run(film, "--out", tmp_path, "--explain", explain).returncode == 0
    assert len(before) == 2
    assert not {*before} & {*documents()}


def test_says_what_cannot_be_had(analysed: Run, tmp_path: Path) -> None:
    film = analysed.folder / "film.dcm"
    for arguments, status, said in (
        ((film, "--out", analysed.folder), 2, "lies in the folder for the results"),
        ((film, "--out", tmp_path, "--model", "other"), 78, "no model other"),
        ((tmp_path, "--out", tmp_path / "out"), 1, "NO_FILMS"),
    ):
        done = run(*arguments)
        assert (done.returncode, said in done.stderr) == (status, True), done.stderr
