"""Finding films in folders, naming their results, and the picture of a film."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from cxr_node import analyst
from cxr_node.documents import Profile
from cxr_node.documents.picture import width_of
from cxr_node.domain.finding import Analysis, Cutoffs, ModelIdentity
from cxr_node.errors import Permanent
from cxr_node.offline import find_films, names
from cxr_node.panel import TIERS, Place, blank, draw_panel, fitted, write, write_lines

ANALYSIS = Analysis(
    ModelIdentity("cxr-pneumonia", "1.0.0", "ab" * 32),
    "pneumonia",
    0.9,
    {"normal": 0.1, "bacterial_pneumonia": 0.6, "viral_pneumonia": 0.3},
    ((0.0, 0.2), (0.4, 1.0)),
)
PROFILE = Profile("shadow", "en", Cutoffs(0.5, 0.5, 0.8), None, {}, None, "2.25", "", "", "1.0.0")
FILM = np.tile(np.linspace(0, 255, 300, dtype=np.uint8), (360, 1))


def touch(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_finds_films_by_name_or_first_bytes(tmp_path: Path) -> None:
    dicom = bytes(128) + b"DICM"
    films = [touch(tmp_path / "a.dcm"), touch(tmp_path / "b" / "1.2.3", dicom), touch(tmp_path / "c.PNG")]
    touch(tmp_path / "DICOMDIR", dicom)
    touch(tmp_path / ".hidden" / "d.dcm")
    touch(tmp_path / "notes.txt", b"text")
    touch(tmp_path / "out" / "a.png")
    assert find_films([tmp_path], tmp_path / "out") == films


def test_what_cannot_be_opened_is_found_and_told_with_the_rest(tmp_path: Path) -> None:
    film, gone, loop = touch(tmp_path / "a.dcm"), tmp_path / "gone.dcm", tmp_path / "loop"
    gone.symlink_to(tmp_path / "nowhere")
    loop.symlink_to(loop)
    os.mkfifo(tmp_path / "pipe.dcm")
    assert find_films([tmp_path], tmp_path / "out") == [film, gone, loop]


def test_takes_what_is_named_and_each_file_once(tmp_path: Path) -> None:
    odd = touch(tmp_path / "in" / "film.xyz")
    film = touch(tmp_path / "in" / "film.dcm")
    found = find_films([odd, film, tmp_path / "in", tmp_path / "in" / ".." / "in" / "film.dcm"], tmp_path / "out")
    assert found == [odd, film]


@pytest.mark.parametrize("given", ["out", "out/film.dcm"])
def test_refuses_to_write_among_the_films(tmp_path: Path, given: str) -> None:
    touch(tmp_path / "out" / "film.dcm")
    with pytest.raises(click.UsageError, match="another --out"):
        find_films([tmp_path / given], tmp_path / "out")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a/film.dcm", "b/film.dcm", "c/FILM.png"], ["film", "film-2", "FILM-3"]),
        (["film-2.dcm", "film.dcm", "film.png"], ["film-2", "film", "film-3"]),
        (["1.2.3.4", "1.2.3.5"], ["1.2.3.4", "1.2.3.5"]),
    ],
)
def test_names_never_collide(files: list[str], expected: list[str]) -> None:
    assert names([Path(file) for file in files]) == expected


@pytest.mark.parametrize(("shape", "width"), [((360, 300), 600), ((200, 1600), 900), ((1600, 200), 90)])
@pytest.mark.parametrize("language", ["en", "es"])
def test_panel_shows_the_film_in_its_proportions(shape: tuple[int, int], width: int, language: Any) -> None:
    film = np.full(shape, 200, dtype=np.uint8)
    panel = draw_panel(film, ANALYSIS, "film.dcm", replace(PROFILE, language=language))
    assert panel.shape == (776, 2 * width + 470 + 4 * 28, 3)
    assert (panel[28:128, 28 : 28 + width] == 200).all()


@pytest.mark.parametrize(("probability", "tier"), [(0.9, "high"), (0.6, "medium"), (0.2, "none")])
def test_panel_shows_tier_and_map_only_where_positive(probability: float, tier: str) -> None:
    panel = draw_panel(FILM, replace(ANALYSIS, probability=probability), "film.dcm", PROFILE)
    colours = {name for name, colour in TIERS.items() if (panel[100:300, -498:] == colour).all(axis=2).any()}
    assert colours == {tier}
    left, right = panel[100:600, 28:628], panel[100:600, 656:1256]
    coloured = np.ptp(right.astype(int), axis=2).max() > 30
    assert coloured == (tier != "none")
    assert np.ptp(left.astype(int), axis=2).max() == 0


def test_what_a_library_says_of_a_film_is_not_passed_on() -> None:
    assert analyst._sentence(ValueError("Invalid value 'Zyxwvut'")) == "internal error (ValueError)"
    assert analyst._sentence(Permanent("BAD_HEADER", "Rows is missing.")) == "Rows is missing."


def test_text_keeps_to_its_width() -> None:
    picture = blank(200, 300)
    write(picture, "much longer than what there is room for", Place(10, 10, 120), 20, (255, 255, 255))
    bottom = write_lines(picture, "some words " * 20, Place(10, 50, 120), 16, (255, 255, 255), most=3, bold=True)
    assert bottom == 50 + 3 * 22
    assert (picture[:, 134:] == blank(1, 1)).all()
    assert width_of("wide", 20, bold=True) > width_of("wide", 20) > 0


def test_pictures_are_fitted_without_distortion() -> None:
    assert fitted(blank(400, 200), 100, 100).shape == (100, 50, 3)
    assert fitted(blank(40, 20), 100, 100).shape == (100, 50, 3)
