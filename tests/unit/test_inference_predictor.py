"""The network, its explanation, and the shipped model's own answers."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cxr_node.errors import ConfigError, Permanent
from cxr_node.inference import golden, manifest
from cxr_node.inference.explain import explain, grad_cam
from cxr_node.inference.network import EfficientNetLite0, FilmNetwork, SameConv2d, channels_last, fold_norms
from cxr_node.inference.predictor import Prediction, Predictor, analyse
from tests.models import one_thread

SIZE = 224


@pytest.fixture(scope="module")
def shipped() -> Iterator[Predictor]:
    """The shipped model on the processor, in one thread."""
    with one_thread():
        yield Predictor(manifest.find(None, "cxr-pneumonia"), "cpu")


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    """Four generated films as the network sees them."""
    return np.stack([golden.phantom(index, SIZE) / np.float32(255) for index in range(4)]).astype(np.float32)


def test_golden_answers(shipped: Predictor) -> None:
    assert golden.check(shipped) < golden.TOLERANCE


@pytest.mark.parametrize("model", manifest.list_models(), ids=lambda model: model.called)
def test_every_shipped_model_still_answers_as_when_it_was_released(model: manifest.Manifest) -> None:
    assert golden.check(Predictor(model, "cpu")) < golden.TOLERANCE


def test_other_weights_fail_the_golden_answers(shipped: Predictor) -> None:
    other = Predictor(shipped.manifest, "cpu")
    with torch.no_grad():
        for value in other._network.parameters():
            value.mul_(1.01)
    with pytest.raises(Permanent) as caught:
        golden.check(other)
    assert caught.value.code == "MODEL_GOLDEN"


def test_a_batch_gives_what_single_films_give(shipped: Predictor, films: np.ndarray) -> None:
    together = shipped.predict(films)
    for index, one in enumerate(together):
        (alone,) = shipped.predict(films[index : index + 1])
        assert np.abs(one.logits - alone.logits).max() < 1e-5
        assert np.abs(one.activations - alone.activations).max() < 1e-4


def test_the_mean_of_each_map_is_its_logit(shipped: Predictor, films: np.ndarray) -> None:
    for prediction in shipped.predict(films):
        assert prediction.activations.shape == (2, 7, 7)
        assert np.abs(prediction.activations.mean(axis=(1, 2)) - prediction.logits).max() < 1e-4


@pytest.mark.parametrize("shape", [(SIZE, SIZE), (1, 64, 64), (1, 1, SIZE, SIZE)])
def test_other_shapes_are_refused(shipped: Predictor, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a batch has the shape"):
        shipped.predict(np.zeros(shape, np.float32))


def test_devices() -> None:
    model = manifest.find(None, "cxr-pneumonia")
    with pytest.raises(ConfigError, match="is not known"):
        Predictor(model, "tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            Predictor(model, "cuda")


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(ConfigError, match="'transformer', which is not known"):
        Predictor(replace(manifest.find(None, "cxr-pneumonia"), network="transformer"), "cpu")


def test_analysis(shipped: Predictor, films: np.ndarray) -> None:
    found = analyse(shipped.manifest, shipped.predict(films[3:])[0], prevalence=0.2)
    assert found.model == shipped.manifest.identity
    assert found.explanation == "cam"
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.probability == pytest.approx(1 - found.probabilities["normal"])
    assert len(found.activation) == 7
    assert all(0 <= value <= 1 for row in found.activation for value in row)


@pytest.mark.parametrize(("evidence", "largest"), [(-50.0, 0.0), (50.0, 1.0)])
def test_activation_is_what_speaks_for_the_finding(shipped: Predictor, evidence: float, largest: float) -> None:
    maps = np.full((2, 2, 2), -50, np.float32)
    maps[0, 1, 0] = evidence
    found = analyse(shipped.manifest, Prediction(maps.mean(axis=(1, 2)), maps))
    assert found.activation == ((0.0, 0.0), (largest, 0.0))


def test_grad_cam_agrees_with_the_closed_form(shipped: Predictor, films: np.ndarray) -> None:
    network, tensor = shipped._network, torch.from_numpy(films)[:, None]
    logits, maps = grad_cam(network, tensor)
    closed_logits, closed, explanation = explain(network, tensor, "cam")
    assert explanation == "cam"
    assert torch.allclose(logits, closed_logits, atol=1e-4)
    for one, other in zip(maps.flatten(0, 1), closed.flatten(0, 1), strict=True):
        assert np.corrcoef(one.flatten(), other.flatten())[0, 1] == pytest.approx(1, abs=1e-4)


class _TwoLayers(FilmNetwork):
    """A head that the closed form does not cover."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 32, 32)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 7 * 7, 8), nn.ReLU(), nn.Linear(8, 2))

    def features(self, films: Tensor) -> Tensor:
        return torch.relu(self.convolution(films))

    def classify(self, features: Tensor) -> Tensor:
        return torch.as_tensor(self.head(features))


def test_grad_cam_is_there_for_those_who_ask_for_it(shipped: Predictor, films: np.ndarray) -> None:
    asked = Predictor(shipped.manifest, "cpu", "gradcam")
    for one, other in zip(asked.predict(films), shipped.predict(films), strict=True):
        assert (one.explanation, other.explanation) == ("gradcam", "cam")
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)


def test_other_heads_are_explained_by_grad_cam(films: np.ndarray) -> None:
    torch.manual_seed(3)
    network, tensor = _TwoLayers().eval(), torch.from_numpy(films)[:, None]
    logits, maps, explanation = explain(network, tensor, "cam")
    assert explanation == "gradcam"
    assert maps.shape == (4, 2, 7, 7)
    assert not logits.requires_grad
    with torch.no_grad():
        assert torch.equal(logits, network(tensor))


def test_the_networks_size() -> None:
    network = EfficientNetLite0(1000)
    assert sum(value.numel() for value in network.parameters()) == 4_652_008
    names = set(network.state_dict())
    assert {"conv_stem.weight", "blocks.0.0.conv_dw.weight", "blocks.6.0.conv_pwl.weight", "bn2.bias"} <= names


def test_folding_changes_nothing_but_rounding(films: np.ndarray) -> None:
    torch.manual_seed(2)
    network = EfficientNetLite0(2)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
        network.eval()
        tensor = torch.from_numpy(films)[:, None]
        before = network(tensor)
        fold_norms(network)
        channels_last(network)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        assert torch.allclose(network(tensor), before, atol=1e-5)


@pytest.mark.parametrize("side", [7, 8, 224])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (1, 1)])
def test_same_padding_keeps_the_odd_pixel_for_the_far_side(side: int, kernel: int, stride: int) -> None:
    convolution = SameConv2d(1, 1, kernel, stride)
    with torch.no_grad():
        convolution.weight.fill_(1)
        counts = convolution(torch.ones(1, 1, side, side))[0, 0]
    assert counts.shape == (-(-side // stride),) * 2
    assert counts[0, 0] >= counts[-1, -1]
