"""Every shipped recipe: it loads, builds the documented network, and takes one step on eight generated films."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from cxr_node.errors import ConfigError
from cxr_node.inference import golden
from training import recipe as recipes
from training.cli import commands
from training.data import Film
from training.fit import answers_of, starting_file, starting_network
from training.gate import recipe as gates
from training.networks import NETWORKS
from training.pictures import equalised
from training.recipe import Recipe
from training.robust import Robust
from training.run import network_of
from training.search import variants
from training.task import Classes, task_of
from training.trainer import Trainer

pytestmark = pytest.mark.training

RECIPES = recipes.shipped()
HEADS = {"linear": lambda i, n: (i + 1) * n, "normed": lambda i, n: (i + 1) * n + 2 * i}
DENSE = {"dense", "dense_dropout"}
REDUCED = {"inception_v3": 75, "alexnet": 64, "xception": 32, "densenet121": 32, "resnet50": 32, "vgg16": 32}
"""Sides at which the large networks take their step here, so that all recipes take less than a minute."""


def _recipe(name: str) -> Recipe:
    return recipes.load(RECIPES[name])


def _films(recipe: Recipe) -> list[Film]:
    labels = [labels[0] for labels in recipe.classes.values()] or ["normal", "viral_pneumonia"]
    return [Film(Path(f"{n}.png"), "a", f"p{n}", labels[n % len(labels)], "PA", "train") for n in range(8)]


def _some_of_each(network: nn.Module) -> dict[str, Tensor]:
    """A thousand values or so of each parameter, which are quick to compare."""
    return {
        name: value.detach().flatten()[:: max(1, value.numel() // 1000)].clone()
        for name, value in network.named_parameters()
    }


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_builds_a_network_of_the_documented_size(name: str) -> None:
    recipe = _recipe(name)
    family = NETWORKS[recipe.network]
    with torch.device("meta"):
        network = network_of(recipe)
        inputs = family.build(2).get_submodule(family.head).in_features
    head = inputs * 500 + 500 + 500 * 200 + 200 + 201 * recipe.outputs
    if recipe.head not in DENSE:
        head = HEADS[recipe.head](inputs, recipe.outputs)
    expected = family.parameters - (inputs + 1) * family.outputs + head + (30 if recipe.front == "convolution" else 0)
    assert sum(value.numel() for value in network.parameters()) == expected


def test_the_chosen_system_of_document_000_has_the_documented_size() -> None:
    assert sum(value.numel() for value in network_of(_recipe("000-cnn")).parameters()) == 1_583_011


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_takes_a_step(name: str) -> None:
    recipe = _recipe(name)
    side = REDUCED.get(recipe.network.removesuffix("_pooled"), min(recipe.size, 256))
    films = _films(recipe)
    task = task_of(recipe, films)
    torch.manual_seed(1)
    answers, network = answers_of(films, task), starting_network(recipe, None, None)
    trainer = Trainer(recipe, network, task, Robust(recipe.fit, network, answers), torch.device("cpu"))
    if trainer.finished:
        assert recipe.fit.all_epochs == 0
        return
    pictures = [golden.phantom(number, side).astype(np.float32) / 255 for number in range(8)]
    batch = {"film": np.stack(pictures)[:, None]}
    batch |= {key: np.stack([each[key] for each in answers]) for key in answers[0]}
    before = _some_of_each(trainer.network)
    figures = trainer.run_epoch([batch], 1)
    assert np.isfinite(figures["loss"])
    moved = {key for key, some in _some_of_each(trainer.network).items() if not torch.equal(some, before[key])}
    learning = recipe.fit.learns or (NETWORKS[recipe.network].head + ".", "front.")
    assert moved
    if recipe.fit.warm_up_epochs:
        assert all(key.startswith(learning) for key in moved)
    else:
        assert not all(key.startswith(learning) for key in moved)


def test_documents_and_figures() -> None:
    known = {name: _recipe(name).published for name in RECIPES}
    assert {each.document for each in known.values() if each} == {"000", "001", "002", "003", "004"}
    figures = sorted(each.figure for each in known.values() if each and each.figure is not None)
    documented = [0.82, 0.82, 0.625, 0.868, 0.625, 0.92, 0.86, 0.3264, 0.8361, 0.9597, 0.9569, 0.9736, 0.8805, 0.8736]
    documented += [0.9375, 0.3388, 0.8903, 0.9792, 0.9153, 0.9875, 0.5932, 0.8017, 0.7520, 0.7368, 0.7783]
    assert figures == sorted(documented)
    for name, each in known.items():
        assert each is None or name.startswith(each.document)


def test_recipes_that_need_others_name_shipped_ones() -> None:
    for name in RECIPES:
        recipe = _recipe(name)
        assert recipe.starts_from in {"", *RECIPES}
        if recipe.cascade:
            assert recipe.cascade.called in _recipe(recipe.cascade.first).classes


def test_the_class_weights_of_document_001() -> None:
    recipe = _recipe("001-cnn")
    films = [Film(Path("x"), "kermany", "p", "normal", "AP", "train")] * 1080
    films += [Film(Path("x"), "kermany", "p", "viral_pneumonia", "AP", "train")] * 3105
    task = task_of(recipe, films)
    assert isinstance(task, Classes)
    assert task.weights == pytest.approx((4185 / 1080 / 2, 4185 / 3105 / 2))


def test_weights_that_are_not_at_hand_are_said_to_be_had_somewhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)vgg16-397923af\.pth.*https://download\.pytorch\.org.*--from-scratch"):
        starting_file(_recipe("002-vgg16-finding"), tmp_path)
    (tmp_path / "vgg16-397923af.pth").write_bytes(b"other")
    with pytest.raises(ConfigError, match="SHA-256 begins with 397923af"):
        starting_file(_recipe("002-vgg16-finding"), tmp_path)
    with pytest.raises(ConfigError, match="no public weights"):
        starting_file(_recipe("000-cnn"), tmp_path)


def test_list_shows_every_recipe() -> None:
    found = CliRunner().invoke(commands, ["list", "--runs", "nowhere"])
    assert found.exit_code == 0
    assert "003-densenet121-v3" in found.output
    assert "0.9736    none  DenseNet121 v3: fine-tuned" in found.output
    rows = json.loads(CliRunner().invoke(commands, ["list", "--json"]).output)
    assert [row["recipe"] for row in rows] == [*RECIPES, *gates.shipped()]


def test_unknown_recipes_and_mistakes_in_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recipe 'nonsense'"):
        recipes.find("nonsense")
    text = RECIPES["001-cnn"].read_text()
    for before, after, said in (
        ('network = "normed_cnn"', 'network = "nonet"', "network 'nonet' is not known"),
        ("val = 0.2", "val = 0.3", "parts sum to 1.1"),
        ('class_weights = "balanced"', "class_weights = [1.0]", "1 class_weights for 2 classes"),
        ('normal = ["normal"]', 'normal = ["viral_pneumonia"]', "a label belongs to one"),
    ):
        path = tmp_path / "changed.toml"
        path.write_text(text.replace(before, after))
        with pytest.raises(ConfigError, match=said):
            recipes.load(path)


def test_variants_differ_and_follow_the_seed() -> None:
    recipe = _recipe("000-search")
    assert recipe.search
    found = [json.dumps(each) for each in variants(recipe.search, 5)]
    assert len(found) == len(set(found)) == 40
    assert found == [json.dumps(each) for each in variants(recipe.search, 5)]
    for changes in list(variants(recipe.search, 5))[:6]:
        changed = recipe.changed(changes)
        assert changed.options["widths"] == list(changes["options.widths"])
        assert changed.search is None


def test_equalisation_makes_the_shares_of_grey_levels_even() -> None:
    film = (golden.phantom(3, 128) / np.float32(255)) ** 3
    even = equalised(film.astype(np.float32))
    for share in (0.25, 0.5, 0.75):
        assert np.mean(even <= share) == pytest.approx(share, abs=0.06)
