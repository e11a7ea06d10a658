"""Leave-one-hospital-out: what a run makes of films from where it learned nothing, and where those figures go."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.training.runs import small_recipe
from tests.training.test_training import SERVED
from training import hospitals
from training import recipe as recipes
from training.cli import commands
from training.data import Film, write_manifest
from training.fit import fit
from training.recipe import Recipe
from training.run import Run

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def fold(films: list[Film], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A calibrated run that saw Kermany's films alone."""
    content = small_recipe("000-cnn").model_dump() | {"classes": {}, "published": None}
    content["data"] = {"shares": {"kermany": 0.5, "nih_chestxray14": 0.5}, "films_per_epoch": 48}
    run = Run(tmp_path_factory.mktemp("fold") / "without-nih")
    fit(Recipe.model_validate(content).without("nih_chestxray14"), films, run)
    manifest = run.directory / "all.csv"
    write_manifest(films, manifest)
    done = CliRunner().invoke(commands, ["calibrate", str(run.directory), "--data", str(manifest)])
    assert done.exit_code == 0, done.output
    return run


def _elsewhere(films: list[Film], source: str, count: int) -> list[Film]:
    """So many films of each label at another hospital, each of a patient of its own."""
    shown = {film.label: film.path for film in films if film.source == "kermany"}
    return [
        Film(path, source, f"{source}{label}{number}", label, "PA", "train")
        for label, path in shown.items()
        for number in range(count)
    ]


def test_a_hospital_with_enough_films_has_an_area_and_others_shares_alone(films: list[Film], fold: Run) -> None:
    found = hospitals.elsewhere(fold, [*films, *_elsewhere(films, "large", 30)])
    assert set(found) == {"large", "nih_chestxray14"}, "not Kermany's, which it learned from"
    large, small = found["large"], found["nih_chestxray14"]
    assert large["films"] == 90
    assert large["roc_auc"]["value"] == 1.0, "the pictures are those that it learned from"
    assert large["specificity_at"]["0.8"]["value"] == large["specificity_at"]["0.85"]["value"] == 1.0
    assert large["called"]["normal"]["films"] == 30
    assert (small["roc_auc"], small["specificity_at"]) == (None, {})
    untouched = [film for film in films if film.source == "nih_chestxray14" and film.split != "test"]
    assert small["films"] == len(untouched), "no test film is read"


def test_films_of_a_known_hospital_in_another_collection_are_left_out(films: list[Film], fold: Run) -> None:
    known = [
        Film(f.path, "covid_radiography_db", f.patient, f.label, f.view, f.split)
        for f in films
        if f.source == "kermany"
    ]
    assert hospitals.hospital_of(known[0]) == "nih_chestxray14"
    found = hospitals.elsewhere(fold, [*films, *known])
    assert "normal" in found["covid_radiography_db"]["called"], "RSNA's normals are NIH's, which this run never saw"


@pytest.fixture
def other(films: list[Film], fold: Run, tmp_path: Path) -> Run:
    """Another seed of the fold, as it is before it has learned much, under the same calibration."""
    run = Run(tmp_path / "other")
    fit(fold.recipe().changed({"seed": 9}), films, run)
    run.keep_calibration(*fold.calibrated())
    return run


def test_an_ensemble_judges_by_the_mean_of_its_runs(films: list[Film], fold: Run, other: Run) -> None:
    chosen = [film for film in films if film.source == "nih_chestxray14" and film.split != "test"]
    one, two = (hospitals._Reader.of(run, "cpu").scores(chosen, False) for run in (fold, other))
    assert not np.allclose(one, two)
    seen: list[np.ndarray] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(hospitals, "_figures", lambda _, scores, *__: seen.append(scores) or {})
        hospitals.elsewhere(fold, films, beside=[other])
    assert seen[0] == pytest.approx((one + two) / 2)


def test_an_ensemble_of_one_run_and_itself_is_that_run(films: list[Film], fold: Run) -> None:
    assert hospitals.elsewhere(fold, films, beside=[fold]) == hospitals.elsewhere(fold, films)


def test_the_command_shows_an_ensemble_and_leaves_the_runs_as_they_are(
    films: list[Film], fold: Run, other: Run, tmp_path: Path
) -> None:
    write_manifest(films, tmp_path / "films.csv")
    folders = [str(fold.directory), str(other.directory)]
    done = CliRunner().invoke(commands, ["hospitals", *folders, "--data", str(tmp_path / "films.csv"), "--together"])
    assert done.exit_code == 0, done.output
    assert "| together | nih_chestxray14 | too few |" in done.output
    assert not other.tried_elsewhere


def test_a_threshold_of_a_wanted_sensitivity(films: list[Film], fold: Run) -> None:
    everybody, few = (hospitals.elsewhere(fold, films, sensitivity)["nih_chestxray14"] for sensitivity in (1.0, 0.01))
    assert everybody["threshold"] < few["threshold"]


def test_a_recipe_with_classes_is_read_by_its_finding(films: list[Film], tmp_path: Path) -> None:
    recipe = small_recipe("000-cnn", served=SERVED | {"finding_classes": ["viral"]})
    classes = {"normal": ["normal"], "bacterial": ["bacterial_pneumonia"], "viral": ["viral_pneumonia"]}
    run, manifest = Run(tmp_path / "run"), tmp_path / "films.csv"
    write_manifest([*films, *_elsewhere(films, "other", 5)], manifest)
    fit(Recipe.model_validate(recipe.model_dump() | {"classes": classes}), films, run)
    for command in ("calibrate", "hospitals"):
        done = CliRunner().invoke(commands, [command, str(run.directory), "--data", str(manifest)])
        assert done.exit_code == 0, done.output
    assert "| run | other | too few | too few | bacterial_pneumonia 0.00 (0.00 to 0.00) of 5; normal" in done.output
    assert run.elsewhere()["other"]["called"]["viral_pneumonia"]["positive"]["value"] == 1.0


def test_figures_of_folds_go_into_the_card(films: list[Film], fold: Run, tmp_path: Path) -> None:
    manifest, card = tmp_path / "films.csv", tmp_path / "card.md"
    write_manifest(films, manifest)
    card.write_text("$hospitals")
    recipe = recipes.load(recipes.shipped()["cxr-pneumonia-2.0"]).changed(
        {"size": 64, "weights_sha256": "", "data.films_per_epoch": 8, "fit.epochs": 1, "fit.batch": 4}
    )
    fit(recipe, films, final := Run(tmp_path / "final"))
    final.explained.write_bytes(b"a picture")
    said = str(final.directory)
    for arguments in (
        ("calibrate", said, "--data", str(manifest)),
        ("evaluate", said, "--data", str(manifest)),
        ("hospitals", str(fold.directory), "--data", str(manifest)),
        ("export", said, "--name", "m", "--version", "1.0.0", "--card", str(card), "--models", str(tmp_path),
         "--fold", str(fold.directory)),
    ):  # fmt: skip
        done = CliRunner().invoke(commands, arguments)
        assert done.exit_code == 0, done.output
    documents = tmp_path / "m" / "1.0.0" / "docs"
    assert "| without-nih | nih_chestxray14 | too few |" in (documents / "README.md").read_text()
    assert (documents / "explained.png").read_bytes() == b"a picture"
    assert np.isfinite(fold.elsewhere()["nih_chestxray14"]["threshold"])
    assert (documents / "hospitals.json").is_file()
