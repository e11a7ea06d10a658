"""From labelled films to a model folder, on generated films and a network that learns nothing but the way."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from cxr_node.domain.finding import Cutoffs
from cxr_node.errors import ConfigError
from cxr_node.imaging import Prepared
from cxr_node.inference import build, golden, manifest
from cxr_node.inference.network import EfficientNetLite0
from cxr_node.inference.predictor import Predictor
from training import recipe as recipes
from training.calibrate import (
    balanced,
    calibrate,
    calibrate_classes,
    operating_points,
    scale_and_bias,
)
from training.card import fill
from training.cli import commands
from training.data import Film, check_splits, read_manifest, trainable, weights
from training.evaluate import positive_share, score
from training.export import export
from training.fit import answers_of, fit, starting_file, starting_network
from training.metrics import calibration_error
from training.preparation import PrepareRecipe
from training.recipe import Recipe
from training.robust import Robust
from training.run import Conditions, Run
from training.scaling import likeliest
from training.task import FindingAndKind
from training.trainer import Trainer
from training.transforms import RandFilmd, changed, evaluation_transforms, random_changes

pytestmark = pytest.mark.training

SHIPPED = recipes.shipped()["cxr-pneumonia-1.0"]
COLUMNS = ("path", "source", "patient_id", "label", "view", "split")
SIZE = 64


def _film(name: str, label: str = "normal", split: str = "train", patient: str = "p1", source: str = "a") -> Film:
    return Film(Path(f"{name}.png"), source, patient, label, "PA", split)


def _targets(films: Sequence[Film]) -> list[int | None]:
    return [FindingAndKind(0).target(film) for film in films]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: generated films of two sources, opacities where the label says pneumonia."""
    folder = tmp_path_factory.mktemp("data")
    labels = ("normal", "bacterial_pneumonia", "normal", "viral_pneumonia")
    rows = []
    for split, count in (("train", 8), ("val", 8), ("test", 8)):
        for source in ("a", "b"):
            for index in range(count):
                label, name = labels[index % 4], f"{source}-{split}-{index}.png"
                picture = golden.phantom(0 if label == "normal" else 3 + index, SIZE)
                cv2.imwrite(str(folder / name), picture)
                rows.append((name, source, f"{source}:{split}{index}", label, "PA" if index < 4 else "AP", split))
    rows += [(f"a-test-{index}.png", "c", "unknown", "covid19", "PA", "test") for index in range(6)]
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in place of the public ones."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "start.safetensors"
    save_file(EfficientNetLite0(1000).state_dict(), path)
    return path


@pytest.fixture
def recipe(start: Path) -> Recipe:
    """The shipped recipe, made small."""
    shipped = recipes.load(SHIPPED).model_dump()
    shipped["data"] = {"shares": {"a": 0.5, "b": 0.5}, "films_per_epoch": 8}
    shipped["fit"] |= {"warm_up_epochs": 1, "epochs": 1, "batch": 4}
    return Recipe.model_validate(shipped | {"size": SIZE, "weights_sha256": build.sha256(start)})


@pytest.mark.parametrize("model", manifest.list_models(), ids=lambda model: model.called)
def test_a_shipped_model_names_its_shipped_recipe(model: manifest.Manifest) -> None:
    kept = json.loads((model.directory / build.METADATA).read_text(encoding="utf-8"))["cxr_node"]["recipe"]
    shipped = recipes.shipped()[f"{model.name}-{model.version.removesuffix('.0')}"]
    assert Recipe.model_validate(kept) == recipes.load(shipped)


def test_recipes_say_all_mistakes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(SHIPPED.read_text().replace("batch = 32", "batch = 0").replace("size = 224", "sice = 224"))
    with pytest.raises(ConfigError, match=r"(?s)size: .*fit\.batch: .*sice: "):
        recipes.load(path)
    path.write_text("network = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        recipes.load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        recipes.load(tmp_path / "missing.toml")


def test_a_patient_in_two_splits_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 patients are in more than one split: p1"):
        check_splits([_film("one"), _film("two", split="test"), _film("three", patient="p2")])


def test_films_without_a_patient_stand_in_one_split() -> None:
    unknown = [_film("one", patient="unknown"), _film("two", patient="unknown", split="val")]
    with pytest.raises(ConfigError, match="a:unknown"):
        check_splits(unknown)
    check_splits([unknown[0], replace(unknown[1], source="b")])


def test_manifests_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("path,label\nfilm.png,normal\n")
    with pytest.raises(ConfigError, match="has no column 'source'"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("path,source,patient_id,label,split\nfilm.png,a,p,normal,dev\n")
    with pytest.raises(ConfigError, match="in the split 'dev'"):
        read_manifest(tmp_path)


def test_targets() -> None:
    labels = ("normal", "bacterial_pneumonia", "viral_pneumonia", "pneumonia_unspecified", "covid19")
    found = [(_film("x", label).pneumonia, _film("x", label).bacterial) for label in labels]
    assert np.array_equal(found, [(0, math.nan), (1, 1), (1, 0), (1, math.nan), (math.nan,) * 2], equal_nan=True)
    assert len(trainable([_film("x", label) for label in labels], ["a"], "train")) == 4


def test_sources_have_their_shares_and_labels_are_even() -> None:
    labels = ["normal"] * 3 + ["viral_pneumonia"] * 7
    films = [_film(f"{index}", label) for index, label in enumerate(labels)]
    films += [replace(film, source="b") for film in films[2:5]]
    drawn = dict(zip(films, weights(films, _targets(films), {"a": 0.75, "b": 0.25}), strict=True))
    for source, share in (("a", 0.75), ("b", 0.25)):
        for pneumonia in (0.0, 1.0):
            cell = [w for film, w in drawn.items() if (film.source, film.pneumonia) == (source, pneumonia)]
            assert sum(cell) == pytest.approx(share / 2)
    with pytest.raises(ConfigError, match="1 of the classes"):
        weights(films[:2], _targets(films[:2]), {"a": 1.0})


def test_augmentation_keeps_shape_and_range_and_follows_its_seed(films: Path, recipe: Recipe) -> None:
    plain = evaluation_transforms(recipe)({"film": read_manifest(films)[0]})["film"]
    changes = random_changes(recipe)
    drawn = [[changed(plain, changes, seed) for seed in seeds] for seeds in (range(20), range(19, -1, -1))]
    for film in drawn[0]:
        assert film.shape == (1, SIZE, SIZE)
        assert film.dtype == np.float32
        assert 0 <= film.min() <= film.max() <= 1
    assert np.array_equal(drawn[0], drawn[1][::-1]), "a seed alone decides, not what was drawn before"
    assert len({film.tobytes() for film in drawn[0]}) == 20
    assert not any(np.array_equal(film, plain) for film in drawn[0])


@pytest.mark.parametrize("how", ["local_contrast", "equalised"])
def test_processing_raises_faint_structures(recipe: Recipe, how: str) -> None:
    still = dict.fromkeys(("flip", "rotation", "scale", "aspect", "shift", "gamma", "contrast", "blur", "marker"), 0.0)
    alone = recipe.changed(
        {f"augment.{name}": value for name, value in (still | {how: 1.0, "processed": 1.0, "jpeg": 94}).items()}
    )
    assert alone.augment
    side = np.arange(128)
    film = (0.2 + 0.4 * side / 128 + 0.05 * np.sin(side[:, None] / 3)).astype(np.float32)
    change = RandFilmd("film", alone.augment)
    change.set_random_state(3)
    drawn = [change({"film": film[None]})["film"][0] for _ in range(20)]

    def structure(shown: Prepared) -> float:
        return float((shown - cv2.GaussianBlur(shown, (0, 0), 6)).std())

    assert max(map(structure, drawn)) > 1.4 * structure(film)


def test_the_kind_counts_only_where_it_is_known() -> None:
    logits, pneumonia, task = torch.zeros(2, 2), torch.tensor([0.0, 1.0]), FindingAndKind(0)
    unknown = task.losses(logits, {"pneumonia": pneumonia, "bacterial": torch.full((2,), math.nan)}).mean()
    assert float(unknown) == pytest.approx(math.log(2))
    known = task.losses(logits, {"pneumonia": pneumonia, "bacterial": torch.tensor([math.nan, 1.0])}).mean()
    assert float(known) == pytest.approx(1.25 * math.log(2))


def test_a_step_learns(films: Path, recipe: Recipe, start: Path) -> None:
    torch.manual_seed(4)
    task = FindingAndKind(recipe.fit.label_smoothing)
    chosen = trainable(read_manifest(films), ["a"], "train")
    answers, network = answers_of(chosen, task), starting_network(recipe, start, None)
    trainer = Trainer(recipe, network, task, Robust(recipe.fit, network, answers), torch.device("cpu"))
    items = [
        evaluation_transforms(recipe)({"film": film, **answer}) for film, answer in zip(chosen, answers, strict=True)
    ]
    batch = {key: torch.as_tensor(np.stack([item[key] for item in items])) for key in items[0]}
    losses = [trainer.step(batch)[0] for _ in range(6)]
    assert losses[-1] < losses[0]


def test_other_weights_than_the_recipes_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    with pytest.raises(ConfigError, match="is not the file whose SHA-256"):
        starting_file(recipe, tmp_path / "other")


def test_a_run_that_was_killed_comes_to_the_same_result(
    films: Path, recipe: Recipe, start: Path, tmp_path: Path
) -> None:
    known = read_manifest(films)
    fit(recipe, known, whole := Run(tmp_path / "whole"), start=start)
    killed = Run(tmp_path / "killed")
    _after_the_warm_up(recipe, known, start, killed)
    fit(recipe, known, killed, start=start)
    resumed, straight = load_file(killed.weights), load_file(whole.weights)
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


def _after_the_warm_up(recipe: Recipe, films: Sequence[Film], start: Path, run: Run) -> None:
    """Make `run` as it was when its first epoch was over."""
    short = Run(run.directory.with_name("short"))
    fit(recipe, films, short, start=start, epochs=1)
    run.directory.mkdir()
    run.checkpoint.write_bytes(short.checkpoint.read_bytes())


def test_a_folder_of_another_recipe_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    conditions = Conditions("name", "", True, None, 2, 2)
    Run(tmp_path).begin(recipe, conditions, [])
    Run(tmp_path).begin(recipe, conditions, [])
    for other, under in ((recipe.model_copy(update={"seed": 1}), conditions), (recipe, replace(conditions, limit=3))):
        with pytest.raises(ConfigError, match="another recipe"):
            Run(tmp_path).begin(other, under, [])


def test_every_step_of_the_command(films: Path, recipe: Recipe, start: Path, tmp_path: Path) -> None:
    fit(recipe, read_manifest(films), Run(tmp_path / "run"), start=start)
    card = tmp_path / "card.md"
    card.write_text("$test $kind $unseen $shortcuts $threshold $high $calibration")
    run, data = str(tmp_path / "run"), ("--data", str(films))
    for arguments in (
        ("train", SHIPPED.stem, *data, "--weights", str(start), "--run", run),
        ("calibrate", run, *data),
        ("evaluate", run, *data),
        ("export", run, "--name", "m", "--version", "0.1.0", "--card", str(card), "--models", str(tmp_path)),
    ):
        result = CliRunner().invoke(commands, arguments)
        assert result.exit_code == (2 if arguments[0] == "train" else 0), result.output
    model = manifest.find(tmp_path, "m")
    build.verify(model)
    assert golden.check(Predictor(model, "cpu")) < golden.TOLERANCE
    assert "c, covid19" in model.card.read_text(encoding="utf-8")


SERVED = {
    "finding": "pneumonia",
    "finding_classes": ["bacterial", "viral"],
    "codes": {
        name: {"value": value, "scheme": "SCT", "meanings": {"en": name, "es": name}}
        for name, value in (("pneumonia", "233604007"), ("bacterial", "53084003"), ("viral", "75570004"))
    },
    "task": "t", "description": "d", "data_source": "s", "population": "p", "intended_use": "u", "licence": "l",
    "restriction": "Trained on films for non-commercial use.",
}  # fmt: skip


@pytest.fixture
def own_classes(recipe: Recipe) -> Recipe:
    """The small recipe with three classes of its own, to be served."""
    classes = {"normal": ["normal"], "bacterial": ["bacterial_pneumonia"], "viral": ["viral_pneumonia"]}
    return Recipe.model_validate(recipe.model_dump() | {"classes": classes, "served": SERVED})


def test_a_recipe_with_classes_of_its_own_becomes_a_model_of_the_node(
    films: Path, own_classes: Recipe, start: Path, tmp_path: Path
) -> None:
    fit(own_classes, read_manifest(films), Run(tmp_path / "run"), start=start)
    card = tmp_path / "card.md"
    card.write_text("Costs $5.")
    run, data = str(tmp_path / "run"), ("--data", str(films))
    for arguments in (
        ("calibrate", run, *data),
        ("export", run, "--name", "m", "--version", "0.1.0", "--card", str(card), "--models", str(tmp_path)),
    ):
        result = CliRunner().invoke(commands, arguments)
        assert result.exit_code == 0, result.output
    model = manifest.find(tmp_path, "m")
    build.verify(model)
    assert golden.check(Predictor(model, "cpu")) < golden.TOLERANCE
    assert (model.finding, model.outputs.kinds) == ("pneumonia", ("bacterial", "viral"))
    assert model.restriction == SERVED["restriction"]
    assert model.outputs.prevalence == pytest.approx(2 / 3)
    assert model.card.read_text() == "Costs $5."


def test_what_the_node_cannot_serve_is_not_exported(own_classes: Recipe, tmp_path: Path) -> None:
    calibration, points = manifest.find(None, "cxr-pneumonia").calibration, Cutoffs(0.5, 0.5, 0.8)
    for changes, sentence in (
        ({"served": None}, r"no \[served\]"),
        (
            {"network": "densenet121"},
            "The node serves efficientnet_lite0, efficientnet_lite2, shaded_lite0 with a linear head",
        ),
        ({"prepare": PrepareRecipe(equalise=True)}, "prepares films in its own way"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            export(
                tmp_path / "m" / "1.0.0", own_classes.model_copy(update=changes), {},
                calibration=calibration, points=points, documents={},
            )  # fmt: skip
    with pytest.raises(ValueError, match="'x'"):
        Recipe.model_validate(own_classes.model_dump() | {"served": SERVED | {"finding_classes": ["x"]}})


def test_temperature_and_biases_are_recovered() -> None:
    random = np.random.default_rng(0)
    true = random.normal(0, 2, (20_000, 3))
    shares = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    targets = (random.random(len(true))[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    biases = np.array([0.5, -1.0, 0.5])
    scales, found = likeliest((true - biases) / 0.5, targets, np.ones(len(true)))
    assert scales == pytest.approx((0.5,) * 3, abs=0.02)
    assert np.array(found) - found[0] == pytest.approx(biases - biases[0], abs=0.08)


def test_classes_are_calibrated_where_every_class_has_a_film(own_classes: Recipe) -> None:
    labels = ("normal", "bacterial_pneumonia", "viral_pneumonia")
    films = [_film(str(index), labels[index % 3]) for index in range(300)]
    logits = np.eye(3)[[index % 3 for index in range(300)]] + np.random.default_rng(2).normal(0, 0.5, (300, 3))
    calibration, points = calibrate_classes(own_classes, films, logits)
    assert calibration.prevalence == pytest.approx(2 / 3)
    assert 0 < points.threshold <= points.high < 1
    with pytest.raises(ConfigError, match="no validation film of the class 'viral'"):
        calibrate_classes(own_classes, films[:2], logits[:2])
    with pytest.raises(ConfigError, match="no \\[served\\]"):
        calibrate_classes(own_classes.model_copy(update={"served": None}), films, logits)


def test_calibration_recovers_scale_and_bias() -> None:
    random = np.random.default_rng(0)
    true = random.normal(0, 2, 20_000)
    targets = (random.random(len(true)) < 1 / (1 + np.exp(-true))).astype(float)
    scale, bias = scale_and_bias((true - 1) / 0.5, targets, np.full(len(true), 1 / len(true)))
    assert scale == pytest.approx(0.5, abs=0.03)
    assert bias == pytest.approx(1, abs=0.06)


def test_operating_points_hold_what_they_promise() -> None:
    random = np.random.default_rng(1)
    labels = ["normal", "viral_pneumonia"] * 500
    films = [_film(str(index), label) for index, label in enumerate(labels)]
    finding = np.array([film.pneumonia for film in films])
    logits = np.column_stack([random.normal(2 * finding - 1, 1), random.normal(0, 1, len(films))])
    assert balanced(films) == pytest.approx(1 / len(films))
    probabilities = 1 / (1 + np.exp(-2 * logits[:, 0]))
    points = operating_points(films, probabilities)
    assert np.mean(probabilities[finding == 1] >= points.threshold) == pytest.approx(0.92, abs=0.005)
    assert np.mean(probabilities[finding == 0] < points.high) == pytest.approx(0.95, abs=0.005)
    mixed = [replace(film, label="bacterial_pneumonia") if index % 4 == 1 else film for index, film in enumerate(films)]
    found = calibrate(mixed, logits)
    assert found.finding_scale == pytest.approx(2, abs=0.3)
    assert found.prevalence == 0.5


def test_scores() -> None:
    targets = np.array([0, 0, 0, 1, 1, 1, 1, 0], float)
    probabilities = np.array([0.1, 0.2, 0.6, 0.7, 0.8, 0.9, 0.3, 0.1])
    found = score(targets, probabilities, list("abcdefga"), 0.5)
    assert (found.films, found.patients, found.positives) == (8, 7, 4)
    assert found.auc.value == pytest.approx(15 / 16)
    assert found.sensitivity.value == found.specificity.value == found.accuracy.value == 0.75
    assert found.brier.value == pytest.approx(np.mean((targets - probabilities) ** 2))
    assert found.auc.low <= found.auc.value <= found.auc.high
    share = positive_share(probabilities, list("abcdefgh"), 0.5)
    assert share.value == 0.5


def test_calibration_error() -> None:
    even = np.ones(4)
    assert calibration_error(np.array([0, 1, 1, 1.0]), np.array([0.75] * 4), even) == pytest.approx(0)
    assert calibration_error(np.zeros(4), np.array([0.1, 0.1, 0.9, 0.9]), even) == pytest.approx(0.5)


def test_a_card_that_asks_for_more_is_refused() -> None:
    empty = {"test": {}, "kind": {}, "unseen": {}, "shortcuts": {}}
    model = manifest.find(None, "cxr-pneumonia")
    with pytest.raises((ConfigError, KeyError)):
        fill("$nonsense", empty, model.calibration, model.points, {})
