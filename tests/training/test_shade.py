"""The network of coarse shade and fine detail: what changes it, what does not, and what it learns at one look."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import Tensor

from cxr_node.errors import ConfigError
from cxr_node.inference.explain import explain
from cxr_node.inference.network import EfficientNetLite0
from cxr_node.inference.shade import CELLS, FALLS, LOW, SOURCES, Familiarity, Shade, ShadedLite0
from training import recipe as recipes
from training.calibrate import balanced, calibrate, calibrated, operating_points
from training.cli import commands
from training.data import Film, write_manifest
from training.explain import Explainer
from training.fit import fit
from training.priming import prime
from training.recipe import Recipe
from training.run import Run
from training.settling import SENSITIVITY, settle
from training.task import Classes, FindingAndKind, task_of

pytestmark = pytest.mark.training


def _noise(count: int, side: int = LOW, seed: int = 1) -> Tensor:
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(seed))


def _small(**changes: object) -> Recipe:
    recipe = recipes.load(recipes.shipped()["cxr-pneumonia-2.0"])
    shorter = {"size": 64, "weights_sha256": "", "data.films_per_epoch": 16, "fit.epochs": 1, "fit.batch": 8}
    return recipe.changed(shorter | changes)


@pytest.fixture
def shaded() -> Iterator[ShadedLite0]:
    """A network with a template, and a detail, of its own."""
    torch.manual_seed(2)
    network = ShadedLite0(3)
    network.shade.template.normal_()
    network.shade.bias.normal_()
    return network.eval()


def test_exposure_and_a_mirror_leave_the_shade_alone() -> None:
    shade, films = Shade(1), _noise(4)
    seen = shade.look(films)
    for changed in (films**2.2, 0.3 + films / 2, films.flip(-1)):
        assert torch.allclose(shade.look(changed), seen, atol=1e-5)
    assert not torch.allclose(shade.look(films.flip(-2)), seen, atol=0.01)


def test_the_map_shows_the_side_and_the_logit_does_not_tell_it() -> None:
    shade = Shade(1)
    shade.template += 1.0
    shade.template[0, : CELLS**2 // 2] = 3.0
    halves = shade.template.view(CELLS, CELLS)
    halves.copy_((halves + halves.flip(-1)) / 2)
    films = _noise(2) * 0.2
    films[:, :, 8:20, 4:12] += 0.7
    maps = shade(films)
    assert torch.allclose(shade(films.flip(-1)).mean(dim=(2, 3)), maps.mean(dim=(2, 3)), atol=1e-4)
    assert (maps[..., : CELLS // 2].sum(dim=(1, 2, 3)) > maps[..., CELLS // 2 + 1 :].sum(dim=(1, 2, 3)) + 1).all()


def test_a_blank_film_has_no_shade() -> None:
    assert torch.allclose(Shade(1).look(torch.zeros(1, 1, 64, 64)), torch.zeros(1, CELLS**2), atol=1e-5)


@pytest.mark.parametrize("side", [224, 160])
def test_the_maps_mean_is_the_logit_however_familiar_the_film(shaded: ShadedLite0, side: int) -> None:
    films = _noise(3, side)
    with torch.inference_mode():
        figures = shaded.familiarity.look(shaded.detail.early(films))
        shaded.familiarity.mean[0] = figures[0]
        shaded.familiarity.precision[0] = torch.eye(figures.shape[1])
        away = shaded.familiarity.distances(figures)[1, 0]
        for reach in (10 * away, away / (1 + FALLS / 2), away / 100):
            shaded.familiarity.reach[0] = reach
            logits, maps, how = explain(shaded, films, "cam")
            assert how == "cam"
            assert torch.allclose(maps.mean(dim=(2, 3)), logits, atol=1e-3)
            assert torch.allclose(shaded(films), logits, atol=1e-3)


def test_an_unfamiliar_film_is_left_to_the_shade(shaded: ShadedLite0) -> None:
    films = _noise(2, 224)
    with torch.inference_mode():
        shade = shaded.shade(films).mean(dim=(2, 3))
        assert not torch.allclose(shaded(films), shade, atol=1e-3), "before any source is known all is familiar"
        shaded.familiarity.precision[0] = torch.eye(shaded.familiarity.mean.shape[1])
        shaded.familiarity.reach[0] = 1e-6
        assert torch.allclose(shaded(films), shade, atol=1e-4)
        detail = shaded.detail(films)
        shaded.train()
        for module in shaded.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.Dropout):
                module.eval()
        assert torch.allclose(shaded(films), detail + shade, atol=1e-3), "in training all is familiar"


def test_the_shade_says_more_where_it_speaks_alone(shaded: ShadedLite0) -> None:
    films = _noise(2, 224)
    shaded.alone_scale.copy_(torch.tensor([2.0, 1.0, 0.5]))
    shaded.alone_bias.copy_(torch.tensor([-0.5, 0.0, 1.0]))
    with torch.inference_mode():
        shade = shaded.shade(films).mean(dim=(2, 3))
        assert torch.allclose(shaded(films), shaded.detail(films) + shade, atol=1e-3), "all is familiar"
        shaded.familiarity.precision[0] = torch.eye(shaded.familiarity.mean.shape[1])
        shaded.familiarity.reach[0] = 1e-6
        alone = shade * shaded.alone_scale + shaded.alone_bias
        assert torch.allclose(shaded(films), alone, atol=1e-3)
        logits, maps, _ = explain(shaded, films, "cam")
        assert torch.allclose(maps.mean(dim=(2, 3)), logits, atol=1e-3)


def test_a_network_is_settled_so_that_the_shade_alone_meets_the_threshold(films: list[Film]) -> None:
    recipe = _small()
    train, validation = ([film for film in films if film.split == split] for split in ("train", "val"))
    task = task_of(recipe, train)
    torch.manual_seed(1)
    network = ShadedLite0(2).eval()
    prime(network, films, recipe, task)
    network.detail.classifier.bias.data.fill_(3.0)
    settle(network, validation, recipe, task)
    assert network.alone_scale[0] == pytest.approx(1, abs=0.01), "a detail that says the same of all films"
    assert network.alone_bias[0] > 2, "is made up for where it is not asked"
    assert (network.alone_scale[1], network.alone_bias[1]) == (1, 0)
    shown = torch.stack([torch.from_numpy(_shown(film)) for film in validation])
    ill = np.array([film.pneumonia for film in validation]) == 1
    with torch.inference_mode():
        whole = network.wholly(shown).double().numpy()
        shade = network.shade(shown).mean(dim=(2, 3)).double().numpy()[:, 0]
    alone = shade * float(network.alone_scale[0]) + float(network.alone_bias[0])
    found = calibrate(validation, whole)
    probabilities, alone = (calibrated(each, found.finding_scale, found.finding_bias) for each in (whole[:, 0], alone))
    threshold = operating_points(validation, probabilities).threshold
    weights = balanced(validation) * ill
    assert weights[alone >= threshold - 1e-4].sum() >= SENSITIVITY * weights.sum()
    assert alone[ill].min() == pytest.approx(threshold, abs=1e-4), "the films with the finding look much alike"


def test_what_cannot_be_settled_is_left_as_it_was(films: list[Film]) -> None:
    recipe, task = _small(), FindingAndKind(0.0)
    validation = [film for film in films if film.split == "val"]
    shaded = ShadedLite0(2).eval()
    settle(shaded, [film for film in validation if film.pneumonia == 0], recipe, task)  # one label
    settle(shaded, validation, recipe, task)  # random: nobody knows whether it tells anything, but never upside down
    assert shaded.alone_scale[0] > 0
    settle(EfficientNetLite0(2).eval(), validation, recipe, task)  # no shade at all


def test_familiarity_falls_beyond_the_reach_of_the_nearest_source() -> None:
    familiarity = Familiarity()
    half = familiarity.mean.shape[1] // 2
    for place, centre in enumerate((0.0, 10.0)):
        familiarity.mean[place, :half] = centre
        familiarity.precision[place, :half, :half] = torch.eye(half) / half
        familiarity.reach[place] = 1.0
    levels = torch.tensor([0.0, 1.0, 1 + FALLS / 2, 1.01 + FALLS, 5.0, 9.5])
    early = levels[:, None, None, None].expand(-1, half, 2, 2)
    assert familiarity(early).tolist() == pytest.approx([1, 1, 0.5, 0, 0, 1], abs=1e-4)


def test_a_network_is_primed_with_its_films(films: list[Film]) -> None:
    recipe = _small()
    train = [film for film in films if film.split == "train"]
    torch.manual_seed(1)
    network = ShadedLite0(2)
    prime(network, films, recipe, task_of(recipe, train))
    assert (network.familiarity.reach > 0).tolist() == [True, True, False, False]
    assert not network.detail.classifier.weight.any()
    again = ShadedLite0(2)
    again.load_state_dict(network.state_dict())
    shown = torch.stack([torch.from_numpy(_shown(film)) for film in films if film.split == "test"])
    with torch.inference_mode():
        logits = again.eval()(shown)[:, 0].numpy()
    ill = np.array([film.pneumonia for film in films if film.split == "test"])
    assert logits[ill == 1].min() > logits[ill == 0].max(), "an opacity that is high, in the middle or low"


def _shown(film: Film) -> np.ndarray:
    from training.transforms import evaluation_transforms

    return np.asarray(evaluation_transforms(_small())({"film": film})["film"])


def test_more_sources_than_it_can_keep_apart_are_refused(films: list[Film]) -> None:
    train = [film for film in films if film.split == "train"]
    many = [Film(f.path, f"s{n % (SOURCES + 1)}", f.patient, f.label, f.view, "train") for n, f in enumerate(train)]
    recipe = _small(**{"data.shares": {}, "data.films_per_epoch": None})
    with pytest.raises(ConfigError, match=f"keeps {SOURCES} sources apart, not {SOURCES + 1}"):
        prime(ShadedLite0(2), many, recipe, FindingAndKind(0.0))


def test_what_is_frozen_stays_as_it_was(films: list[Film], tmp_path: Path) -> None:
    recipe = _small()
    fit(recipe, films, none := Run(tmp_path / "none"), epochs=0)
    fit(recipe, films, one := Run(tmp_path / "one"))
    before, after = load_file(none.weights), load_file(one.weights)
    still = {name for name in before if torch.equal(before[name], after[name])}
    primed = ("shade.", "familiarity.")
    frozen = {name for name in before if name.startswith((*recipe.fit.frozen, *primed))}
    assert frozen <= still
    assert "detail.blocks.3.0.conv_pw.weight" not in still
    assert "detail.blocks.3.0.bn1.running_mean" not in still


def test_a_source_is_left_out(films: list[Film], tmp_path: Path) -> None:
    assert _small().without("kermany").data.shares == {"nih_chestxray14": 1.0}
    listed = _small(**{"data.shares": {}, "data.films_per_epoch": None, "data.sources": ("a", "b:normal", "b:covid19")})
    assert listed.without("b").data.sources == ("a",)
    for recipe, source in ((_small(), "elsewhere"), (listed, "c"), (listed.without("b"), "a")):
        with pytest.raises(ConfigError, match=f"cannot do without '{source}'"):
            recipe.without(source)
    path, manifest = tmp_path / "small.toml", tmp_path / "films.csv"
    path.write_text(_toml(), encoding="utf-8")
    write_manifest(films, manifest)
    given = ["train", str(path), "--data", str(manifest), "--run", str(tmp_path / "fold"), "--epochs", "0"]
    done = CliRunner().invoke(commands, [*given, "--without", "kermany", "--seed", "7"])
    assert done.exit_code == 0, done.output
    kept = Run(tmp_path / "fold").recipe()
    assert (kept.seed, dict(kept.data.shares)) == (7, {"nih_chestxray14": 1.0})


def _toml() -> str:
    return (
        'network = "plain_cnn"\nsize = 64\nseed = 1\noptions = { size = 64, widths = [8, 8], dense = [8] }\n'
        "[data]\nshares = { kermany = 0.5, nih_chestxray14 = 0.5 }\nfilms_per_epoch = 8\n"
        "[fit]\nwarm_up_epochs = 0\nepochs = 1\nbatch = 4\nhead_rate = 1e-3\nrate = 1e-3\n"
    )


def _classes(rivals: dict[str, tuple[bool, ...]], smoothing: float = 0.0) -> Classes:
    names = ("normal", "covid19", "other")
    return Classes(names, {name: place for place, name in enumerate(names)}, (1.0, 2.0, 0.5), smoothing, rivals)


def _batch(task: Classes, films: Sequence[Film]) -> dict[str, Tensor]:
    targets = [task.targets(film) for film in films]
    return {name: torch.as_tensor(np.stack([each[name] for each in targets])) for name in targets[0]}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_among_all_classes_the_loss_is_the_usual_one(smoothing: float) -> None:
    task = _classes({}, smoothing)
    films = [Film(Path("f.png"), "a", "p", name, "PA", "train") for name in ("normal", "other", "covid19", "other")]
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(4))
    target = torch.tensor([0, 2, 1, 2])
    usual = torch.nn.functional.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
    expected = (usual * torch.tensor(task.weights)[target]).mean()
    assert float(task.losses(logits, _batch(task, films)).mean()) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_film_is_told_from_its_sources_own_classes(smoothing: float) -> None:
    task = _classes({"children": (True, False, True), "cases": (False, True, True)}, smoothing)
    films = [Film(Path("f.png"), source, "p", "other", "PA", "train") for source in ("children", "cases")]
    logits = torch.zeros(2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(task.losses(logits, _batch(task, films)).mean(), logits)
    assert torch.isfinite(gradient).all()
    assert (gradient == 0).tolist() == [[False, True, False], [True, False, False]]


def test_a_recipe_finds_the_rivals_in_its_films() -> None:
    made = [("a", "normal"), ("a", "viral_pneumonia"), ("b", "bacterial_pneumonia"), ("b", "viral_pneumonia")]
    films = [Film(Path("f.png"), source, "p", label, "PA", "train") for source, label in made]
    recipe = recipes.load(recipes.shipped()["002-vgg16-finding"])
    fit_ = {"fit.within_sources": True, "fit.class_weights": "even"}
    found = task_of(
        recipe.changed(
            {"classes": {"n": ("normal",), "v": ("viral_pneumonia",), "b": ("bacterial_pneumonia",)}} | fit_
        ),
        films,
    )
    assert isinstance(found, Classes)
    assert found.rivals == {"a": (True, True, False), "b": (False, True, True)}


def test_films_of_one_label_are_left_out() -> None:
    recipe = recipes.load(recipes.shipped()["cxr-covid-1.0"])
    assert not recipe.data.takes("ieee8023", "normal")
    assert recipe.data.takes("kermany", "normal")
    assert recipe.data.takes("ieee8023", "covid19")
    assert not recipe.data.takes("nih_chestxray14", "normal")


def test_a_fold_without_films_of_known_kind(films: list[Film], tmp_path: Path) -> None:
    unknown = [replace(film, label="pneumonia_unspecified") if film.pneumonia else film for film in films]
    run, manifest = Run(tmp_path / "fold"), tmp_path / "films.csv"
    fit(_small(), unknown, run)
    assert "bacterial" not in run.history()[0]
    write_manifest(unknown, manifest)
    done = CliRunner().invoke(commands, ["calibrate", str(run.directory), "--data", str(manifest)])
    assert done.exit_code == 0, done.output
    calibration, _ = run.calibration()
    assert (calibration.kind_scale, calibration.kind_bias) == (1.0, 0.0)


def test_randomised_weights_change_the_template_too(shaded: ShadedLite0) -> None:
    explainer = Explainer(shaded, _small(), "cam", True)
    other = explainer.randomised().network
    assert isinstance(other, ShadedLite0)
    assert not torch.allclose(other.shade.template, shaded.shade.template)
