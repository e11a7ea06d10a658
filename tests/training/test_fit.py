"""Runs of class recipes: killed and resumed, cut short, started from another, and with a full disk."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from cxr_node.errors import ConfigError, Transient
from cxr_node.inference import golden
from training import curves, precision
from training import recipe as recipes
from training.cli import commands
from training.data import Film, read_manifest, write_manifest
from training.files import write_whole
from training.fit import fit
from training.recipe import Recipe
from training.run import Run
from training.search import search

pytestmark = pytest.mark.training

LABELS = ("normal", "bacterial_pneumonia", "viral_pneumonia")
Change = Callable[..., Recipe]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Film]:
    """Generated films of three labels, with an opacity high, in the middle or low."""
    folder = tmp_path_factory.mktemp("films")
    found = []
    for number in range(36):
        label = number % 3
        path = folder / f"{number}.png"
        picture = golden.phantom(0, 64) // 2
        picture[4 + 20 * label : 20 + 20 * label, 16:48] = 255
        cv2.imwrite(str(path), picture)
        split = ("train", "train", "val", "test")[number // 3 % 4]
        found.append(Film(path, "kermany", f"p{number}", LABELS[label], "AP", split))
    write_manifest(found, folder / "manifest.csv")
    return found


@pytest.fixture
def small() -> Change:
    """A recipe of the documents, made small: a plain CNN on 64 pixels, two optimisers, dropout and jitter."""

    def change(**fit_changes: Any) -> Recipe:
        content = recipes.load(recipes.shipped()["000-cnn"]).model_dump()
        content |= {
            "size": 64,
            "options": {"size": 64, "widths": [8, 8, 16], "dense": [16], "dropout": 0.1},
            "data": {},
        }
        content |= {"jitter": {"flip": 0.5, "zoom": [0.9, 1.1], "shear": 3, "brightness": [0.9, 1.1]}}
        content["fit"] |= {"warm_up_epochs": 1, "epochs": 2, "batch": 6, "optimiser": {"name": "rmsprop"}}
        content["fit"] |= {"warm_up_optimiser": {"name": "sgd", "momentum": 0.9, "nesterov": True, "decay": 0.01}}
        content["fit"] |= fit_changes
        return Recipe.model_validate(content)

    return change


@pytest.mark.parametrize("after", [1, 2])
def test_a_run_of_two_phases_resumes_to_the_same_result(
    after: int, films: list[Film], small: Change, tmp_path: Path
) -> None:
    recipe = small(average_decay=0.5)
    fit(recipe, films, whole := Run(tmp_path / "whole"))
    fit(recipe, films, part := Run(tmp_path / "part"), epochs=after)
    killed = Run(tmp_path / "killed")
    killed.directory.mkdir()
    killed.checkpoint.write_bytes(part.checkpoint.read_bytes())
    fit(recipe, films, killed)
    resumed, straight = load_file(killed.weights), load_file(whole.weights)
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)
    losses = [
        [json.loads(line)["validation loss"] for line in run.log.read_text().splitlines()] for run in (killed, whole)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 3


def test_a_run_learns_and_keeps_what_it_did(films: list[Film], small: Change, tmp_path: Path) -> None:
    recipe = small(warm_up_epochs=0, epochs=12, rate=3e-3, optimiser={"name": "adam"}, warm_up_optimiser=None)
    fit(recipe, films, run := Run(tmp_path / "run"), name="small")
    entries = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert entries[-1]["validation accuracy"] > 0.6, "chance is a third"
    assert {"loss", "accuracy", "validation loss", "recall normal", "recall viral", "seconds"} <= entries[0].keys()
    assert (run.directory / "curves.svg").read_text().count("<circle") == 4 * 12
    assert [film.split for film in read_manifest(run.splits)] == [film.split for film in films]
    conditions = run.conditions()
    assert (conditions.name, conditions.from_scratch, conditions.epochs, conditions.limit) == ("small", False, 12, None)
    assert conditions.precision == precision.name(torch.device("cpu"))
    assert run.network()(torch.rand(1, 1, 64, 64)).shape == (1, 3)


def test_the_command_cuts_a_run_short_and_says_so(films: list[Film], small: Change, tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    text = recipes.shipped()["000-lenet5"].read_text()
    path.write_text(text)
    place = ["--data", str(films[0].path.parent), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    done = CliRunner().invoke(commands, ["train", str(path), *place, "--limit", "6", "--epochs", "1"])
    assert done.exit_code == 0, done.output
    conditions = Run(tmp_path / "runs" / "small").conditions()
    assert (conditions.limit, conditions.epochs, conditions.recipe_epochs) == (6, 1, 30)
    assert len(read_manifest(Run(tmp_path / "runs" / "small").splits)) <= 18
    again = CliRunner().invoke(commands, ["train", str(path), *place])
    assert again.exit_code == 2
    assert "--resume" in again.output
    other = CliRunner().invoke(commands, ["train", str(path), *place, "--resume", "--epochs", "2"])
    assert isinstance(other.exception, ConfigError)
    assert "under other conditions" in str(other.exception)


def test_no_epochs_give_an_untrained_network(films: list[Film], small: Change, tmp_path: Path) -> None:
    fit(small(warm_up_epochs=0, epochs=0), films, run := Run(tmp_path / "run"))
    assert run.finished
    assert not run.log.exists()


def test_patience_ends_a_run(films: list[Film], small: Change, tmp_path: Path) -> None:
    recipe = small(warm_up_epochs=0, epochs=30, rate=1e-9, patience=2)
    fit(recipe, films, run := Run(tmp_path / "run"))
    entries = run.log.read_text().splitlines()
    assert 3 <= len(entries) < 30


def test_a_run_goes_on_from_another(films: list[Film], small: Change, tmp_path: Path) -> None:
    fit(small(), films, first := Run(tmp_path / "first"), epochs=1)
    recipe = small(warm_up_epochs=0, epochs=0).model_copy(update={"starts_from": "first"})
    fit(recipe, films, second := Run(tmp_path / "second"), before=first)
    one, other = first.state(), second.state()
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(ConfigError, match="no finished run"):
        fit(recipe, films, Run(tmp_path / "third"), before=Run(tmp_path / "nothing"))
    wider = recipe.changed({"options.widths": [4, 8, 9]})
    with pytest.raises(ConfigError, match="another network"):
        fit(wider, films, Run(tmp_path / "fourth"), before=first)


def test_a_search_ranks_its_variants_within_the_budget(films: list[Film], small: Change, tmp_path: Path) -> None:
    recipe = small(epochs=1, warm_up_epochs=0)
    choices = {"options.widths": ([4, 8], [2] * 6), "fit.rate": (1e-3, 1e-4)}
    recipe = recipe.model_copy(update={"search": recipes.SearchRecipe(variants=4, choices=choices)})
    said: list[str] = []
    tried = search(recipe, films, tmp_path / "all", minutes=10, echo=said.append)
    assert len(tried) == 2
    assert len(said) == 2, "six poolings leave nothing of 64 pixels"
    assert tried[0].accuracy >= tried[1].accuracy
    assert json.loads((tmp_path / "all" / "search.json").read_text())[0]["run"] == tried[0].run
    assert len(search(recipe, films, tmp_path / "one", minutes=0)) == 1
    with pytest.raises(ConfigError, match="no \\[search\\]"):
        search(small(), films, tmp_path, minutes=1)


def test_the_mean_and_deviation_of_the_training_films_go_into_the_network(films: list[Film], tmp_path: Path) -> None:
    content = recipes.load(recipes.shipped()["003-densenet121-v2"]).model_dump()
    content |= {"size": 32, "data": {}, "classes": {"normal": ["normal"], "ill": list(LABELS[1:])}}
    content["fit"] |= {"warm_up_epochs": 0}
    fit(Recipe.model_validate(content), films, run := Run(tmp_path / "run"), limit=6)
    state = run.state()
    mean, deviation = state["front.mean"], state["front.deviation"]
    assert 0.2 < float(mean) < 0.8
    assert 0.1 < float(deviation) < 0.5
    assert run.conditions().from_scratch


FULL = """
import resource, sys
from pathlib import Path
import torch
from cxr_node.errors import Transient
from training.files import write_whole
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    write_whole(path, lambda stream: torch.save({"weights": torch.ones(200_000)}, stream))
except Transient as error:
    print(error.code, error.message)
"""


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_whole(path, lambda stream: torch.save({"epoch": 3}, stream))
    found = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True)
    assert found.stdout.startswith(f"CHECKPOINT {path} could not be written (")
    assert "the one before is still there" in found.stdout
    assert torch.load(path, weights_only=True) == {"epoch": 3}
    assert [each.name for each in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="No such file"):
        write_whole(tmp_path / "gone" / "checkpoint.pt", lambda stream: stream.write(b""))


def test_curves_of_nothing() -> None:
    assert "<polyline" not in curves.draw([])
