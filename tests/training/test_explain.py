"""Scores of explanations, on a network that looks where we know, and the annotations that they are measured by."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from cxr_node.errors import ConfigError
from cxr_node.inference.network import FilmNetwork
from training import recipe as recipes
from training.annotations import read_annotations
from training.cli import commands
from training.data import Film
from training.explain import Explainer, Method, faithfulness, located, sanity
from training.preparation import Crop, PrepareRecipe
from training.recipe import Recipe

SIDE = 64
LEFT = slice(8, 24)


class LooksLeft(FilmNetwork):
    """Calls what is bright at the left: the second logit is the mean there, the first is nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(1, 1, 1)
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.look.weight.fill_(1.0)
            self.look.bias.zero_()
            self.head.weight.copy_(torch.tensor([[0.0], [40.0]]))
            self.head.bias.zero_()

    def features(self, films: Tensor) -> Tensor:
        mask = torch.zeros(SIDE, SIDE)
        mask[:, LEFT] = 1
        return nn.functional.avg_pool2d(self.look(films) * mask, 8)

    def classify(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits

    def pooled_head(self) -> nn.Linear:
        return self.head


@pytest.fixture
def recipe() -> Recipe:
    content = recipes.load(recipes.shipped()["001-cnn"]).model_dump()
    return Recipe.model_validate(content | {"size": SIDE, "prepare": {}})


@pytest.fixture
def bright(tmp_path: Path) -> Callable[..., Film]:
    """A film with a bright square at the left and another at the right."""

    def film(name: str = "film") -> Film:
        picture = np.zeros((128, 256), dtype=np.uint8)
        picture[48:80, 48:80] = 255
        picture[48:80, 176:208] = 255
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
        return Film(tmp_path / f"{name}.png", "a", name, "normal", "PA", "test", native=(256, 128))

    return film


def _annotated(folder: Path, name: str, left: float) -> None:
    """A lung box in COCO, a mask and a finding box, each a fifth of the film's width from `left` on."""
    box = [256 * left, 0, 256 * 0.2, 128]
    coco = {
        "images": [{"id": 1, "width": 256, "height": 128, "path": f"a/{name}.jpg"}],
        "annotations": [{"image_id": 1, "bbox": box}, {"image_id": 1, "bbox": [None] * 4}],
    }
    (folder / "x_lung_boxes.json").write_text(json.dumps(coco))
    with (folder / "x_boxes_100px.csv").open("w", newline="") as stream:
        rows = [(f"a/{name}.png", "Pneumonia", 100 * left, 0, 20, 100), (f"a/{name}.png", "Mass", 90, 90, 5, 5)]
        csv.writer(stream).writerows([("path", "finding", "x", "y", "w", "h"), *rows])


@pytest.mark.parametrize("method", ["cam", "gradcam", "occlusion"])
def test_the_heat_of_a_network_that_looks_left_lies_left(
    method: Method, bright: Callable[..., Film], recipe: Recipe, tmp_path: Path
) -> None:
    explainer = Explainer(LooksLeft().eval(), recipe, method, single=False)
    _annotated(tmp_path, "film", 0.15)
    found = located(explainer, [bright()], [1], read_annotations(tmp_path), "finding")
    assert found is not None
    assert found["pointing"].value == 1
    assert found["heat_inside"].value > 0.6
    assert found["region_share"] == pytest.approx(0.2, abs=0.02)
    _annotated(tmp_path, "film", 0.7)
    found = located(explainer, [bright()], [1], read_annotations(tmp_path), "lungs")
    assert found is not None
    assert found["pointing"].value == 0
    assert found["heat_inside"].value < 0.05


def test_a_map_that_tells_where_a_network_looks_is_more_faithful_than_chance(
    bright: Callable[..., Film], recipe: Recipe
) -> None:
    explainer = Explainer(LooksLeft().eval(), recipe, "cam", single=False)
    found = faithfulness(explainer, [bright()], [1])
    assert found["deletion"] < found["random_deletion"]
    assert found["insertion"] > found["random_insertion"]


def test_randomised_weights_change_the_map(bright: Callable[..., Film], recipe: Recipe) -> None:
    explainer = Explainer(LooksLeft().eval(), recipe, "cam", single=False)
    before = explainer.network.state_dict()["head.weight"].clone()
    assert not torch.equal(explainer.randomised().network.state_dict()["head.weight"], before)
    assert torch.equal(explainer.network.state_dict()["head.weight"], before)

    found = sanity(explainer, [bright()], [1])
    assert found["films"] == 1
    dark = LooksLeft()
    with torch.no_grad():
        dark.head.weight.zero_()
    assert sanity(Explainer(dark.eval(), recipe, "cam", single=False), [bright()], [1])["changes"] is None

    class Fixed(LooksLeft):
        """Its map is the film, whatever it has learned."""

        def features(self, films: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(films, 8)

        def pooled_head(self) -> nn.Linear:
            fixed = nn.Linear(1, 2)
            fixed.load_state_dict({"weight": torch.tensor([[0.0], [1.0]]), "bias": torch.zeros(2)})
            return fixed

    found = sanity(Explainer(Fixed().eval(), recipe, "cam", single=False), [bright()], [1])
    assert found["correlation"] == pytest.approx(1)
    assert found["changes"] is False


def test_one_logit_speaks_for_the_finding_and_against_it(bright: Callable[..., Film], recipe: Recipe) -> None:
    network = LooksLeft()
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([[40.0], [0.0]]))
    explainer = Explainer(network.eval(), recipe, "cam", single=True)
    film = torch.full((1, 1, SIDE, SIDE), 0.5)
    assert explainer.heat(film, [1]).max() > 0
    assert explainer.heat(film, [0]).max() == 0
    assert explainer.probabilities(film).sum() == pytest.approx(1)


def test_regions_are_cropped_as_the_film_is(bright: Callable[..., Film], tmp_path: Path) -> None:
    _annotated(tmp_path, "film", 0.0)
    film, annotations = bright(), read_annotations(tmp_path)
    whole = annotations.region(film, "lungs", SIDE, PrepareRecipe())
    cut = Crop(width=0.2, height=0.2, widest=256, highest=256)
    cropped = annotations.region(film, "lungs", SIDE, PrepareRecipe(crop=cut))
    assert whole is not None
    assert cropped is not None
    assert whole[:, :12].all()
    assert not whole[:, 14:].any()
    assert cropped.mean() == pytest.approx((0.2 - 0.1) / 0.8, abs=0.02)
    assert annotations.region(bright("other"), "lungs", SIDE, PrepareRecipe()) is None


def test_masks_go_before_boxes_and_manifests_have_boxes_too(bright: Callable[..., Film], tmp_path: Path) -> None:
    _annotated(tmp_path, "film", 0.0)
    (tmp_path / "x_lung_masks").mkdir()
    mask = np.zeros((64, 128), dtype=np.uint8)
    mask[:, 64:] = 255
    cv2.imwrite(str(tmp_path / "x_lung_masks" / "film_mask.png"), mask)
    film = bright()
    region = read_annotations(tmp_path).region(film, "lungs", SIDE, PrepareRecipe())
    assert region is not None
    assert region[:, 32:].all()
    assert not region[:, :32].any()
    boxed = Film(film.path, "a", "p", "normal", "PA", "test", (256, 128), boxes=((128.0, 64.0, 128.0, 64.0),))
    found = read_annotations(tmp_path).region(boxed, "finding", SIDE, PrepareRecipe())
    assert found is not None
    assert found[40:, 40:].all()
    (tmp_path / "x_lung_masks" / "film_mask.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"film_mask\.png cannot be read as a picture"):
        read_annotations(tmp_path).region(film, "lungs", SIDE, PrepareRecipe())


def test_annotations_that_are_not_understood_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no annotations"):
        read_annotations(tmp_path)
    (tmp_path / "a_lung_boxes.json").write_text('{"images": []}')
    with pytest.raises(ConfigError, match=r"a_lung_boxes\.json are not understood: KeyError\('annotations'\)"):
        read_annotations(tmp_path)
    (tmp_path / "a_lung_boxes.json").unlink()
    (tmp_path / "a_boxes_100px.csv").write_text("path,finding,x\nfilm.png,Pneumonia,4\n")
    with pytest.raises(ConfigError, match=r"a_boxes_100px\.csv are not understood"):
        read_annotations(tmp_path)


@pytest.mark.training
def test_the_command_scores_and_shows_ten_films(films: list[Film], runs: Path, tmp_path: Path) -> None:
    place = ["--manifest", str(films[0].path.parent), "--out", str(tmp_path)]
    for run in ("000-cnn", "002-vgg16-kind"):
        done = CliRunner().invoke(
            commands, ["evaluate", str(runs / run), *place, "--explain", "gradcam", "--sample", "3"]
        )
        assert done.exit_code == 0, done.output
        found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["explanation"]
        assert found["lungs"] is None
        assert found["faithful"]["films"] == 3
        picture = cv2.imread(str(tmp_path / "explained.png"))
        assert picture is not None
        assert min(picture.shape[:2]) > 500
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert page.count('<img alt="films with heat maps" src="data:image/png;base64,') == 1
