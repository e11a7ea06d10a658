"""The gate as a site sees it, in `analyze` and in a node: headers that lie, films turned, inverted or empty."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset

from tests import films
from tests.node import Node

CHEST = {"BodyPartExamined": "CHEST", "AnatomicRegionSequence": None, "ImageLaterality": "U", "ViewPosition": "PA"}


def noise() -> FileDataset:
    """An exposure of nothing, under the header of a chest film."""
    pixels = np.random.default_rng(2).normal(2000, 30, (256, 224)).astype(np.uint16)
    return films.chest(702, pixels=pixels)


def turned() -> FileDataset:
    """A chest film on its side, under the header of one that is upright."""
    return films.chest(703, pixels=np.ascontiguousarray(np.rot90(films.chest(703).pixel_array)))


def wrong_way_round() -> FileDataset:
    """A chest film whose header says MONOCHROME1, and whose pixels are MONOCHROME2."""
    film = films.chest(704)
    return films.change(film, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")


FILMS = {
    "sound": lambda: films.chest(701),
    "noise": noise,
    "turned": turned,
    "inverted": wrong_way_round,
    "leg": lambda: films.leg(705),
    "lying_leg": lambda: films.leg(706, **CHEST),
}


def analyzed(folder: Path, out: Path, **settings: str) -> dict[str, dict[str, Any]]:
    """What `analyze` says of each of FILMS, by its name."""
    for name, make in FILMS.items():
        films.write(make(), folder / f"{name}.dcm")
    file = folder / "node.toml"
    file.write_text("[model]\n" + "".join(f'{key} = "{value}"\n' for key, value in settings.items()), "utf-8")
    command = [sys.executable, "-m", "cxr_node", "analyze", "-c", str(file), str(folder), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return {Path(each["file"]).stem: each for each in json.loads((out / "results.json").read_text("utf-8"))}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return analyzed(tmp_path_factory.mktemp("films"), tmp_path_factory.mktemp("parent") / "out")


def test_an_upright_phantom_is_analysed_and_no_fault_is_found(results: dict[str, dict[str, Any]]) -> None:
    assert results["sound"]["state"] == "analysed"
    assert set(results["sound"]["flags"]) <= {"unusual", "unsure"}


@pytest.mark.parametrize(("name", "flag"), [("turned", "turned_90"), ("inverted", "inverted")])
def test_what_a_model_can_live_with_is_analysed_and_flagged(
    results: dict[str, dict[str, Any]], name: str, flag: str
) -> None:
    assert results[name]["state"] == "analysed"
    assert flag in results[name]["flags"]


@pytest.mark.parametrize(
    ("name", "word"), [("noise", "without a patient"), ("leg", "'LEG'"), ("lying_leg", "do not show a chest")]
)
def test_what_is_no_chest_is_refused_by_its_header_or_by_its_pixels(
    results: dict[str, dict[str, Any]], name: str, word: str
) -> None:
    assert results[name]["state"] == "not_analysed"
    assert word in results[name]["reason"]
    assert results[name]["flags"] == []


def test_without_the_gate_pixels_are_not_looked_at(tmp_path: Path) -> None:
    found = analyzed(tmp_path / "films", tmp_path / "out", gate="")
    assert {name for name, each in found.items() if each["state"] == "not_analysed"} == {"leg"}
    assert all(each["flags"] == [] for each in found.values())


def test_a_node_shows_what_the_gate_refused_and_says_in_the_report_what_it_flagged(tmp_path: Path) -> None:
    lying, inverted = FILMS["lying_leg"](), wrong_way_round()
    with Node(tmp_path) as node:
        node.send(lying, inverted)
        node.wait_final()
        entries = {entry["study_instance_uid"]: entry for entry in node.worklist()}
        study = node.study(inverted.StudyInstanceUID)
        written = [pydicom.dcmread(path) for path in node.files("outbox")]
    refused = entries[str(lying.StudyInstanceUID)]
    assert (refused["state"], refused["tier"]) == ("not_analysed", "none")
    assert "do not show a chest" in refused["reason"]
    (result,) = study["results"]
    assert "inverted" in result["quality"]["flags"]
    assert (result["quality"]["gate"], result["quality"]["version"]) == ("cxr-gate", "1.0.0")
    (report,) = (each for each in written if each.Modality == "SR")
    said = [str(element.value) for element in report.iterall() if element.keyword in ("TextValue", "CodeMeaning")]
    assert "Limited quality" in said
    assert "Image 1: black and white looked exchanged; analysed and shown the other way round" in said
