"""Mixed films, weight for the worst group and an adversary: each against its own equation; and masks of films."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_node.errors import ConfigError
from cxr_node.imaging import Prepared
from cxr_node.inference.network import EfficientNetLite0
from training import recipe as recipes
from training.data import Film
from training.fit import answers_of
from training.hospitals import normalised_anew
from training.networks import build
from training.optimisation import FitRecipe
from training.pictures import AXES, GREY, LUNGS, masked, window
from training.preparation import PrepareRecipe
from training.recipe import Recipe
from training.robust import Adversary, Robust, WorstGroups
from training.task import FindingAndKind
from training.transforms import RandFilmd

pytestmark = pytest.mark.training


def _recipe(**changes: object) -> Recipe:
    return recipes.load(recipes.shipped()["cxr-pneumonia-1.0"]).changed(changes)


def _fit(**changes: object) -> FitRecipe:
    return _recipe(**{f"fit.{name}": value for name, value in changes.items()}).fit


def _answers() -> list[dict[str, np.int64]]:
    return [{"source": np.int64(place % 2), "group": np.int64(place % 4)} for place in range(4)]


def test_films_are_mixed_with_those_of_another_source() -> None:
    torch.manual_seed(1)
    robust = Robust(_fit(mixup=0.4), EfficientNetLite0(2), _answers())
    films, sources = torch.rand(12, 1, 4, 4), torch.tensor([0, 1, 2] * 4)
    targets = {"source": sources, "place": torch.arange(12)}
    mixed = robust.mixed(films, targets)
    assert mixed is not None
    shown, others, own = mixed
    assert 0 < own < 1
    assert (others["source"] != sources).all()
    torch.testing.assert_close(shown, own * films + (1 - own) * films[others["place"]])
    alone = robust.mixed(films, {"source": torch.zeros(12, dtype=torch.int64)})
    assert alone is not None, "films of one source are mixed among themselves"
    assert Robust(_fit(), EfficientNetLite0(2), _answers()).mixed(films, targets) is None


def test_the_group_with_the_largest_loss_comes_to_weigh_most() -> None:
    worst = WorstGroups(3, 0.1)
    losses, groups = torch.tensor([1.0, 3.0, 0.5], requires_grad=True), torch.tensor([0, 0, 2])
    expected = torch.exp(0.1 * torch.tensor([2.0, 0.0, 0.5])) / 3
    expected /= expected.sum()
    found = worst(losses, groups)
    torch.testing.assert_close(worst.weights, expected)
    assert float(found.detach()) == pytest.approx(float(expected[0] * 2 + expected[2] * 0.5))
    (gradient,) = torch.autograd.grad(found, losses)
    torch.testing.assert_close(gradient, torch.tensor([expected[0] / 2, expected[0] / 2, expected[2]]))


def test_features_are_moved_against_the_adversary() -> None:
    torch.manual_seed(1)
    adversary = Adversary(5, 2, 0.3)
    features, sources = torch.rand(4, 5, 2, 2, requires_grad=True), torch.tensor([0, 1, 0, 1])
    plain = torch.nn.functional.cross_entropy(adversary.tell(features.mean(dim=(2, 3))), sources)
    usual = torch.autograd.grad(plain, features)[0]
    reversed_ = torch.autograd.grad(adversary(features, sources).mean(), features)[0]
    torch.testing.assert_close(reversed_, -0.3 * usual)
    own = torch.autograd.grad(adversary(features, sources).mean(), adversary.tell.weight)[0]
    assert torch.autograd.grad(adversary(features, sources).mean(), adversary.tell.weight)[0].equal(own)
    assert float(own.abs().sum()) > 0, "the adversary itself learns to tell"


def test_an_adversary_needs_features_that_are_pooled() -> None:
    with pytest.raises(ConfigError, match="pools its features"):
        Robust(_fit(adversary=0.3), build("plain_cnn", 2), _answers())


def test_groups_are_a_source_and_a_class() -> None:
    films = [
        Film(Path("f.png"), source, "p", label, "PA", "train")
        for source, label in (("a", "normal"), ("b", "normal"), ("b", "viral_pneumonia"), ("a", "bacterial_pneumonia"))
    ]
    found = answers_of(films, FindingAndKind(0))
    assert [(int(each["source"]), int(each["group"])) for each in found] == [(0, 0), (1, 2), (1, 3), (0, 1)]


def test_tone_curves_rise_from_black_to_white() -> None:
    augment = _recipe(**{"augment.curve": 1.0}).augment
    assert augment is not None
    change = RandFilmd("film", augment)
    change.set_random_state(5)
    ramp: Prepared = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    for _ in range(20):
        curved = change._curve(ramp).ravel()
        assert (np.diff(curved) >= 0).all()
        assert (curved[0], curved[-1]) == (0.0, pytest.approx(1.0))
    assert np.abs(curved - ramp.ravel()).max() > 0.02


def test_margins_and_lungs() -> None:
    film = np.ones((100, 100), dtype=np.float32)
    assert masked(film, PrepareRecipe()) is film
    blank = masked(film, PrepareRecipe(blank_margin=0.1))
    assert (blank[10:90, 10:90] == 1).all()
    assert (blank != 1).sum() == 100 * 100 - 80 * 80
    assert set(np.unique(blank)) == {np.float32(GREY), np.float32(1)}
    lungs = masked(film, PrepareRecipe(lungs_only=True))
    for across, down in LUNGS:
        assert lungs[round(100 * down), round(100 * across)] == 1
    assert lungs[47, 50] == np.float32(GREY), "between the lungs"
    assert float((lungs == 1).mean()) == pytest.approx(2 * np.pi * AXES[0] * AXES[1], rel=0.05)
    rows, columns = window((200, 100), Film(Path("f.png"), "a", "p", "normal", "PA", "train"),
                           PrepareRecipe(cut_margin=0.1))  # fmt: skip
    assert (rows, columns) == (slice(20, 180), slice(10, 90))


def test_a_network_normalised_anew_knows_the_new_films_brightness() -> None:
    torch.manual_seed(1)
    network = EfficientNetLite0(2).eval()
    before = network.bn1.running_mean.clone()
    films = [torch.rand(4, 1, 64, 64) * 0.2 for _ in range(3)]
    adapted = normalised_anew(network, films)
    assert network.bn1.running_mean.equal(before), "the network itself is left as it was"
    with torch.no_grad():
        seen = torch.cat([adapted.conv_stem(2 * each.expand(-1, 3, -1, -1) - 1) for each in films])
    torch.testing.assert_close(adapted.bn1.running_mean, seen.mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert not adapted.training
