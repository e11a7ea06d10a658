"""A screen of levers: whole, on generated films, and its mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cxr_node.errors import ConfigError
from tests.training.runs import small_recipe
from training import screen as screens
from training.cli import commands
from training.data import Film, write_manifest
from training.run import Run
from training.screened import markdown

pytestmark = pytest.mark.training

DOCS = Path(__file__).parents[2] / "docs"
LEVERS = """
recipe = "{recipe}"
epochs = 1
hospitals = ["kermany", "nih_chestxray14"]

[always]
"fit.average_decay" = 0.0

[[lever]]
name = "none: plain"

[[lever]]
name = "mixup, and normalised anew"
changes = {{ "fit.mixup" = 0.4 }}
adapt = true

[[lever]]
name = "shares"
changes = {{ "data.shares" = {{ kermany = 0.4, nih_chestxray14 = 0.6 }} }}
both = true
"""


@pytest.fixture
def screen(films: list[Film], tmp_path: Path) -> tuple[Path, Path]:
    """A screen's file and a manifest with thirty films more of each label at the second hospital."""
    content = small_recipe("000-cnn").model_dump() | {"classes": {}, "published": None}
    content["data"] = {"shares": {"kermany": 0.5, "nih_chestxray14": 0.5}, "films_per_epoch": 24}
    (tmp_path / "small.toml").write_text(_toml(content))
    (tmp_path / "levers.toml").write_text(LEVERS.format(recipe=tmp_path / "small.toml"))
    more = [
        Film(film.path, "nih_chestxray14", f"more{label}{number}", label, "PA", "train")
        for film in films[:3]
        for label in [film.label]
        for number in range(30)
    ]
    write_manifest([*films, *more], tmp_path / "films.csv")
    return tmp_path / "levers.toml", tmp_path / "films.csv"


def _toml(content: dict[str, object]) -> str:
    """A recipe as a file: JSON's values are TOML's where nothing is null, and inline tables stand for objects."""

    def value(of: object) -> str:
        if isinstance(of, dict):
            return "{ " + ", ".join(f'"{key}" = {value(each)}' for key, each in of.items() if each is not None) + " }"
        if isinstance(of, list | tuple):
            return "[" + ", ".join(value(each) for each in of) + "]"
        return json.dumps(of)

    return "\n".join(f"{key} = {value(of)}" for key, of in content.items() if of is not None) + "\n"


def _invoke(screen: tuple[Path, Path], *more: str) -> str:
    path, manifest = screen
    folder = path.parent
    done = CliRunner().invoke(
        commands,
        ["screen", str(path), "--data", str(manifest), "--runs", str(folder / "runs"), "--out", str(folder / "out"),
         "--device", "cpu", *more],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return done.output


def test_levers_are_tried_without_each_hospital_and_put_side_by_side(screen: tuple[Path, Path]) -> None:
    said = _invoke(screen)
    assert "none-plain/1-epochs-1-without-kermany: done" in said
    found = json.loads((screen[0].parent / "out" / "levers.json").read_text())
    plain, mixed, shares = found["levers"]
    assert [each["lever"] for each in found["levers"]] == ["none: plain", "mixup, and normalised anew", "shares"]
    assert 0 <= plain["left_out"]["nih_chestxray14"]["auc"] <= 1
    last = Run(screen[0].parent / "runs" / "levers" / "none-plain" / "1-epochs-1-without-nih_chestxray14").history()[-1]
    assert plain["left_out"]["nih_chestxray14"]["learned_from_auc"] == {"kermany": last["kermany"]}
    there = mixed["left_out"]["nih_chestxray14"]
    assert (there["runs"], there["spread"]) == (1, None), "of one seed"
    assert shares["left_out"] == {"kermany": None, "nih_chestxray14": None}, "it means nothing with one hospital"
    assert "| shares | needs both | needs both | " in said
    assert 0 <= shares["own_validation_auc"]["kermany"] <= 1
    runs = screen[0].parent / "runs" / "levers"
    kept = Run(runs / "mixup-and-normalised-anew" / "1-epochs-1-without-kermany").recipe()
    assert (kept.fit.mixup, kept.fit.average_decay, set(kept.data.shares)) == (0.4, 0.0, {"nih_chestxray14"})
    assert len(list(runs.glob("shares/*"))) == 1
    done = (runs / "none-plain" / "1-epochs-1-all" / "log.jsonl").stat().st_mtime_ns
    assert "| none: plain |" in _invoke(screen, "--only-table", "--only", "none: plain")
    assert (runs / "none-plain" / "1-epochs-1-all" / "log.jsonl").stat().st_mtime_ns == done


def test_runs_at_a_time_have_processes_of_their_own(screen: tuple[Path, Path]) -> None:
    assert "shares/1-epochs-1-all: done" in _invoke(screen, "--jobs", "2", "--only", "shares")


def test_whole_runs_are_folds_with_several_seeds() -> None:
    wanted = screens.find("next-hospital")
    lever = wanted.lever[0]
    found = list(screens.trials(wanted, lever, screens.Length(None, 3)))
    assert len(found) == 6
    assert str(found[-1].folder) == "none-the-plain-recipe/whole-3-without-nih_chestxray14"
    assert len(list(screens.trials(wanted, lever, screens.Length(4, 1)))) == 3


@pytest.mark.parametrize("name", ["learning-curve", "next-hospital"])
def test_every_lever_of_a_shipped_screen_is_understood(name: str) -> None:
    wanted = screens.find(name)
    assert len({lever.slug for lever in wanted.lever}) == len(wanted.lever) >= 6
    for lever in wanted.lever:
        for trial in screens.trials(wanted, lever, screens.Length(wanted.epochs, 1)):
            recipe = screens.recipe_of(wanted, trial)
            assert set(recipe.data.shares) | {trial.left_out} >= set(wanted.hospitals)


def _committed(name: str) -> list[dict[str, Any]]:
    levers: list[dict[str, Any]] = json.loads((DOCS / f"{name}.json").read_text(encoding="utf-8"))["levers"]
    return levers


@pytest.mark.parametrize("name", ["next-hospital", "learning-curve"])
def test_every_lever_of_a_screen_was_tried(name: str) -> None:
    assert [each["lever"] for each in _committed(name)] == [each.name for each in screens.find(name).lever]


@pytest.mark.parametrize("name", ["next-hospital", "next-hospital-whole"])
def test_the_page_has_what_the_levers_came_to(name: str) -> None:
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    for line in markdown(_committed(name)).splitlines()[2:]:
        assert f"{' | '.join(line.split(' | ')[:3])} |" in page


def test_the_page_has_the_learning_curve() -> None:
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    found = [f"{each['own_validation_auc']['nih_chestxray14']:.3f}" for each in _committed("learning-curve")]
    assert f"| {' | '.join(found)} |" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recipe = ", "is not valid TOML"),
        ('recipe = "000-cnn"\nepochs = 0\nhospitals = ["a"]\nlever = []', "epochs: .*hospitals: .*lever: "),
        ('recipe = "000-cnn"\nepochs = 1\nhospitals = ["a", "b"]\nlever = [{ name = "x", chnages = {} }]', "chnages"),
    ],
)
def test_mistakes_in_a_screen(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        screens.find(str(tmp_path / "bad.toml"))


def test_unknown_screens_levers_and_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no screen 'x'; there are learning-curve, next-hospital,"):
        screens.find("x")
    with pytest.raises(ConfigError, match="cannot be read"):
        screens.find(str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="no lever 'x'; there are none-the-plain-recipe"):
        screens.chosen(screens.find("next-hospital"), ["x"])


def test_a_run_that_fails_is_said_and_stops_no_other(screen: tuple[Path, Path]) -> None:
    path, manifest = screen
    path.write_text(path.read_text().replace('"fit.mixup" = 0.4', '"fit.adversary" = 0.4'))
    done = CliRunner().invoke(
        commands,
        ["screen", str(path), "--data", str(manifest), "--runs", str(path.parent / "runs"), "--out", str(path.parent),
         "--device", "cpu", "--only", "mixup, and normalised anew", "--only", "shares"],
    )  # fmt: skip
    assert isinstance(done.exception, ConfigError)
    assert "3 of 4 runs failed" in str(done.exception)
    assert "shares/1-epochs-1-all: done" in done.output
