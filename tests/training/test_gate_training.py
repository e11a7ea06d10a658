"""The gate from phantoms to a model folder, with random weights in its frozen stages; what it learns from."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from cxr_node.demo.phantom import project
from cxr_node.domain.quality import Limits
from cxr_node.errors import ConfigError
from cxr_node.imaging import Prepared, prepare_grey
from cxr_node.inference import build, gate_manifest, golden
from cxr_node.inference.gate import Gate
from cxr_node.inference.gate_network import SIDE, VIEWS, GateHeads, GateNetwork
from cxr_node.inference.network import EfficientNetLite0
from training.cli import commands
from training.data import read_manifest
from training.gate import faults
from training.gate import recipe as gates
from training.gate.evaluate import evaluate, interval
from training.gate.export import fill
from training.gate.fit import GateRun, features_of, fit, fit_distance, said_of, starting_network
from training.gate.laterals import lateral
from training.gate.pictures import sample_pictures
from training.gate.recipe import GateRecipe, SampleRecipe
from training.gate.samples import FRONTAL, LATERAL, SIZE, Maker, answers_of, pools_of

pytestmark = pytest.mark.training

SHIPPED = gates.shipped()["gate-1.0"]
CARD = SHIPPED.with_suffix(".card.md")
SEED = 7
MakeFault = Callable[[Prepared, np.random.Generator], Prepared]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: phantoms of two sources, and five "lateral" ones of a third."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for split in ("train", "val", "test"):
        for number, source in enumerate(("a", "b", "a", "b")):
            name = f"{split}-{number}.png"
            film = project(rows=256, columns=224, seed=len(rows) + 1) >> 4
            cv2.imwrite(str(folder / name), film.astype(np.uint8))
            rows.append((name, source, f"{split}{number}", "normal", "PA", split))
    for number in range(10):
        view = "LATERAL" if number < 5 else "PA"
        rows.append((f"train-{number % 4}.png", "c", f"c{number}", "normal", view, "test"))
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "source", "patient_id", "label", "view", "split"), *rows])
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in place of the public ones, under their name; their norms fit what comes through them."""
    torch.manual_seed(SEED)
    network = EfficientNetLite0(1000)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.rand(8, 1, SIDE, SIDE))
    path = tmp_path_factory.mktemp("weights") / "tf_efficientnet_lite0_imagenet_fp32.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def recipe(start: Path) -> GateRecipe:
    """The shipped recipe, made small."""
    shipped = gates.load(SHIPPED)
    fit = shipped.fit.model_copy(update={"epochs": 8, "batch": 16})
    samples = shipped.samples.times(0.01)
    limits = shipped.limits.model_copy(update={"validation": 0.5})
    changes = {"sources": ("a", "b"), "fit": fit, "samples": samples, "limits": limits}
    return shipped.model_copy(update=changes | {"weights_sha256": build.sha256(start)})


@pytest.fixture(scope="module")
def run(data: Path, start: Path, recipe: GateRecipe, tmp_path_factory: pytest.TempPathFactory) -> GateRun:
    finished = GateRun(tmp_path_factory.mktemp("runs") / "gate")
    fit(recipe, read_manifest(data), finished, start)
    return finished


@pytest.fixture
def film() -> Prepared:
    return prepare_grey((project(rows=256, columns=224, seed=SEED) >> 4).astype(np.uint8), SIZE)


def test_a_short_training_learns_the_view_and_the_angle_better_than_chance(
    run: GateRun, data: Path, recipe: GateRecipe
) -> None:
    samples = list(Maker(pools_of(read_manifest(data), recipe, "test"), recipe, SEED).make(recipe.samples.times(0.5)))
    network = run.network()
    said = said_of(network.heads, features_of(network, (each.picture for each in samples)))
    view, quarters, _, _ = answers_of([each.answers for each in samples]).T
    asked = view >= 0
    assert np.mean(said.view.argmax(dim=1).numpy()[asked] == view[asked]) > 1.5 / len(VIEWS)
    turned = quarters > 0
    assert np.mean(said.turn.argmax(dim=1).numpy()[turned] == quarters[turned]) > 1.5 / 4
    losses = [json.loads(line)["loss"] for line in (run.directory / "log.jsonl").read_text("utf-8").splitlines()]
    assert losses[-1] < 0.8 * losses[0]


def test_a_run_that_was_evaluated_becomes_a_gate_that_the_node_serves(run: GateRun, data: Path, tmp_path: Path) -> None:
    run.keep_results(evaluate(run, read_manifest(data), each=4))
    found = run.results()
    assert {fault["of"] for fault in found["faults"].values()} == {4}
    assert found["films"]["c, lateral"]["refused"]["of"] == 5
    assert set(found["films"]) == {"a, test", "b, test", "c", "c, lateral"}
    assert found["cross_validation"]["laterals"]["of"] == 5
    given = ["--name", "cxr-gate", "--version", "2.0.0", "--card", str(CARD), "--models", str(tmp_path)]
    exported = CliRunner().invoke(commands, ["export", str(run.directory), *given])
    assert exported.exit_code == 0, exported.output
    model = gate_manifest.find(tmp_path, "cxr-gate")
    assert (model.version, model.limits) == ("2.0.0", run.limits())
    assert golden.check(Gate(model)) < golden.TOLERANCE
    assert not build.is_release(model)
    assert "$" not in model.card.read_text("utf-8")


def test_the_evaluate_command_knows_the_run_of_a_gate(run: GateRun, data: Path, tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text((run.directory / "limits.json").read_text("utf-8"), "utf-8")
    outcome = CliRunner().invoke(commands, ["evaluate", str(tmp_path), "--data", str(data)])
    assert isinstance(outcome.exception, ConfigError)
    assert "recipe.json cannot be read" in str(outcome.exception)


def test_a_run_that_was_not_evaluated_is_not_exported(run: GateRun, tmp_path: Path) -> None:
    bare = GateRun(tmp_path)
    for name in ("limits.json", "recipe.json"):
        (tmp_path / name).write_text((run.directory / name).read_text("utf-8"), "utf-8")
    (tmp_path / "card.md").write_text("card", "utf-8")
    given = ["--name", "g", "--version", "1.0.0", "--card", str(tmp_path / "card.md"), "--models", str(tmp_path / "m")]
    outcome = CliRunner().invoke(commands, ["export", str(bare.directory), *given])
    assert isinstance(outcome.exception, ConfigError)
    assert "results.json cannot be read" in str(outcome.exception)


def test_the_train_command_finds_the_shipped_recipe_and_asks_for_its_weights(data: Path, tmp_path: Path) -> None:
    given = ["train", "gate-1.0", "--data", str(data), "--weights", str(tmp_path), "--runs", str(tmp_path)]
    outcome = CliRunner().invoke(commands, given)
    assert isinstance(outcome.exception, ConfigError)
    assert "public weights of EfficientNet-Lite0 are not at hand" in str(outcome.exception)


def test_too_few_sound_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="47 upright and framed samples are too few; 48 at least"):
        fit_distance(GateHeads(), torch.rand(47, 80, 7, 7))


def test_other_weights_than_the_recipes_are_refused(start: Path) -> None:
    with pytest.raises(ConfigError, match="is not the file whose SHA-256"):
        starting_network(gates.load(SHIPPED), start)


def test_a_source_without_films_in_a_split_is_refused(data: Path, recipe: GateRecipe) -> None:
    films = [film for film in read_manifest(data) if film.source != "b"]
    with pytest.raises(ConfigError, match="Each of the sources a, b needs films in every split"):
        Maker(pools_of(films, recipe, "train"), recipe, SEED)


def test_recipes_say_all_mistakes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(
        SHIPPED.read_text("utf-8").replace("batch = 128", "batch = 1").replace("framed =", "famed ="), "utf-8"
    )
    with pytest.raises(ConfigError, match=r"(?s)samples\.framed: .*samples\.famed: .*fit\.batch: "):
        gates.load(path)
    path.write_text("seed = ", "utf-8")
    with pytest.raises(ConfigError, match="not valid TOML"):
        gates.load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        gates.load(tmp_path / "missing.toml")


def test_the_shipped_gate_names_the_shipped_recipe() -> None:
    path = gate_manifest.find(None, "cxr-gate").directory / build.METADATA
    kept = json.loads(path.read_text(encoding="utf-8"))["cxr_node"]["recipe"]
    assert GateRecipe.model_validate(kept) == gates.load(SHIPPED)


def test_the_network_has_the_parameters_of_its_card() -> None:
    network = GateNetwork()
    heads = sum(value.numel() for value in network.heads.parameters())
    whole = sum(value.numel() for value in network.parameters())
    assert (whole - heads, heads) == (253_984, 103_818)
    said = network.eval()(torch.rand(3, 1, SIDE, SIDE))
    assert [tuple(each.shape) for each in said] == [(3, 4), (3, 4), (3,), (3,), (3,)]


@pytest.mark.parametrize(
    "make",
    [faults.cropped, faults.halved, faults.framed, faults.patch, faults.shuffled, lateral],
    ids=lambda make: make.__name__,
)
def test_a_fault_changes_the_film_stays_in_range_and_is_the_same_for_the_same_seed(
    make: MakeFault, film: Prepared
) -> None:
    changed = make(film, np.random.default_rng(SEED))
    assert (changed.shape, changed.dtype) == (film.shape, np.float32)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert np.abs(changed - film).mean() > 0.02
    assert np.array_equal(changed, make(film, np.random.default_rng(SEED)))


@pytest.mark.parametrize("make", [faults.blank, faults.limb, faults.shapes], ids=lambda make: make.__name__)
def test_a_drawing_is_a_film_of_its_size_for_many_seeds(make: Callable[..., Prepared]) -> None:
    for seed in range(20):
        drawn = faults.seen(make(SIZE, np.random.default_rng(seed)))
        assert drawn.shape == (SIZE, SIZE)
        assert np.isfinite(drawn).all()
        assert drawn.max() > drawn.min()


def test_a_film_is_turned_and_inverted_as_its_answers_say(data: Path, recipe: GateRecipe) -> None:
    pools = pools_of(read_manifest(data), recipe, "train")
    maker = Maker(pools, recipe, SEED, changed=False)
    upright = [next(maker.several("upright", 1)).picture for _ in range(8)]
    for sample in maker.several("turned", 6):
        set_right = np.rot90(sample.picture, -sample.answers.quarters)
        assert min(float(np.abs(set_right - each).mean()) for each in upright) < 0.02
    assert {sample.answers.view for sample in maker.several("lateral", 3)} == {LATERAL}
    assert {sample.answers.view for sample in maker.several("framed", 3)} == {FRONTAL}


def test_sample_pictures_are_grey_and_many() -> None:
    pictures = sample_pictures()
    assert len(pictures) > 20
    assert all(picture.ndim == 2 and 0 <= picture.min() < picture.max() <= 1 for picture in pictures)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 42, 0, 0.0841), (42, 42, 0.9159, 1), (5, 50, 0.0333, 0.2181), (1, 1, 0.025, 1)],
)
def test_intervals_are_those_of_clopper_and_pearson(count: int, of: int, low: float, high: float) -> None:
    assert interval(count, of) == pytest.approx((low, high), abs=1e-4)


def test_a_card_that_asks_for_something_else_is_refused() -> None:
    limits = Limits(0.1, 0.8, 0.9, 0.8, 0.8, 0.8, 1.2)
    with pytest.raises(ConfigError, match="cannot be filled"):
        fill("$nothing", {"films": {}, "faults": {}, "cross_validation": None}, limits)
    shown = fill("$laterals $limit_lateral", {"films": {}, "faults": {}, "cross_validation": None}, limits)
    assert shown == "none tried 0.100"


def test_a_recipe_for_fewer_samples_still_has_one_of_each() -> None:
    assert dict(gates.load(SHIPPED).samples.times(1e-6)) == dict.fromkeys(SampleRecipe.model_fields, 1)
