"""Networks: as many parameters as published, shapes, public weights and the weights of others."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cxr_node.errors import ConfigError
from cxr_node.inference.explain import explain
from training.networks import NETWORKS, build
from training.networks.parts import FRONTS, HEADS
from training.networks.residual import densenet_key
from training.networks.weights import load_public, read_state
from training.networks.xception import SamePool2d

pytestmark = pytest.mark.training

WEIGHTS = Path(__file__).parents[3] / "shared" / "weights"
SMALLEST = {"plain_cnn": 256, "normed_cnn": 150, "lenet5": 32, "inception_v3": 75}
"""The size at which each network is tried: its own where it depends on it, else 64 pixels to be quick."""
HEAVY = {"alexnet", "vgg16"}


def _parameters(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def _films(name: str, count: int = 2) -> Tensor:
    side = SMALLEST.get(name, 64)
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_as_many_parameters_as_published(name: str) -> None:
    with torch.device("meta"):
        network = build(name, NETWORKS[name].outputs)
    assert _parameters(network) == NETWORKS[name].parameters


def test_the_plain_cnn_of_document_000_layer_by_layer() -> None:
    network = build("plain_cnn", 3)
    layers = [_parameters(each) for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    assert layers == [160, 4640, 18496, 73856, 295168, 1179776, 8256, 2080, 528, 51]
    assert _parameters(network) == 1_583_011
    assert network.features(_films("plain_cnn")).shape == (2, 256, 6, 6)


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - HEAVY))
def test_a_network_gives_one_logit_for_each_output(name: str) -> None:
    network = build(name, 4).eval()
    films = _films(name)
    with torch.inference_mode():
        features = network.features(films)
        logits = network(films)
        alone = network(films[:1])
    assert features.ndim == 4
    assert logits.shape == (2, 4)
    assert torch.allclose(logits[:1], alone, atol=1e-4), "a film's logits do not depend on its neighbours"
    pooled = network.pooled_head()
    if pooled is not None:
        _, maps, how = explain(network, films, "cam")
        assert how == "cam"
        assert torch.allclose(maps.mean(dim=(2, 3)), logits, atol=1e-3), "the map's mean is the logit"


@pytest.mark.parametrize("name", sorted(HEAVY))
def test_a_dense_ended_network_has_the_shapes_of_its_paper(name: str) -> None:
    with torch.device("meta"):
        network = build(name, 2, front="convolution")
        assert network(torch.rand(2, 1, 224, 224)).shape == (2, 2)
        assert network.pooled_head() is None


@pytest.mark.parametrize("head", HEADS)
def test_heads(head: str) -> None:
    network = build("densenet121", 3, head=head).eval()
    added = {"linear": 3075, "dense": 613_303, "dense_dropout": 613_303, "normed": 3075 + 2048}
    assert _parameters(network) == 7_978_856 - 1_025_000 + added[head]
    with torch.inference_mode():
        assert network(_films("densenet121")).shape == (2, 3)
    assert (network.pooled_head() is None) == (head != "linear")
    assert explain(network, _films("densenet121"), "cam")[2] == ("cam" if head == "linear" else "gradcam")


def test_fronts() -> None:
    films = _films("resnet50")
    for name, learned in (("convolution", 30), ("standardise", 0)):
        front = FRONTS[name]()
        assert front(films).shape == (2, 3, 64, 64)
        assert _parameters(front) == learned
    standardise = FRONTS["standardise"]()
    standardise.load_state_dict({"mean": films.mean(), "deviation": films.std()})
    shown = standardise(films)
    assert float(shown.mean()) == pytest.approx(0, abs=1e-5)
    assert float(shown.std()) == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueError, match="plain_cnn has no front"):
        build("plain_cnn", 2, front="convolution")


def test_variants_of_the_plain_cnn() -> None:
    network = build("plain_cnn", 3, options={"size": 64, "widths": [8, 16], "dense": [32], "dropout": 0.0})
    assert network(torch.rand(2, 1, 64, 64)).shape == (2, 3)
    with pytest.raises(ValueError, match="leave nothing"):
        build("plain_cnn", 3, options={"size": 32})


def _public_names(name: str) -> dict[str, Tensor]:
    """A state dict as the public file has it: its names, random values."""
    torch.manual_seed(8)
    state = build(name, 1000).state_dict()
    if name == "densenet121":
        layer = re.compile(r"(denselayer\d+)\.layers\.(norm|conv)(\d)\.")
        names = {key: key.removeprefix("net.").replace("class_layers.out.", "classifier.") for key in state}
        return {layer.sub(r"\1.\2\3.", names[key]): value for key, value in state.items()}
    if name == "resnet50":
        return {key.removeprefix("net."): value for key, value in state.items()}
    if name == "inception_v3":
        return state | {"AuxLogits.fc.bias": torch.zeros(1000)}
    return {key.replace("body.", "features."): value for key, value in state.items()}


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("densenet121", "features.denseblock1.denselayer1.norm1.weight"),
        ("resnet50", "layer1.0.downsample.0.weight"),
        ("inception_v3", "Mixed_5b.branch1x1.conv.weight"),
        ("vgg16_pooled", "features.0.weight"),
        ("xception", "block1.rep.0.conv1.weight"),
        ("efficientnet_lite0", "blocks.0.0.conv_dw.weight"),
    ],
)
def test_public_names_load(name: str, some: str, tmp_path: Path) -> None:
    public = _public_names(name)
    assert some in public
    path = tmp_path / "weights.pth"
    torch.save({key: value for key, value in public.items() if "num_batches" not in key}, path)
    network = build(name, 3, head="dense")
    load_public(network, name, path)
    wanted = build(name, 1000)
    load_public(wanted, name, path)
    head = NETWORKS[name].head
    for key, value in wanted.state_dict().items():
        if not key.startswith(head) and "num_batches" not in key:
            assert torch.equal(value, network.state_dict()[key]), key
    assert any(torch.equal(public[some], value) for value in network.state_dict().values())


def test_the_older_names_of_densenet_are_understood() -> None:
    new = densenet_key("features.denseblock1.denselayer2.norm1.weight")
    assert new == densenet_key("features.denseblock1.denselayer2.norm.1.weight")
    assert new == "net.features.denseblock1.denselayer2.layers.norm1.weight"


def test_weights_of_another_network_are_refused_with_the_keys(tmp_path: Path) -> None:
    path = tmp_path / "lite2.safetensors"
    save_file(build("efficientnet_lite2", 1000).state_dict(), path)
    with pytest.raises(ConfigError) as refusal:
        load_public(build("efficientnet_lite0", 2), "efficientnet_lite0", path)
    assert "does not fit the network efficientnet_lite0" in refusal.value.message
    assert "keys are not known (blocks.1.2.bn1.bias" in refusal.value.message
    assert "blocks.2.0.bn3.running_mean is (48,) and should be (40,)" in refusal.value.message
    with pytest.raises(ConfigError, match=r"keys are missing \(.*conv"):
        load_public(build("resnet50", 2), "resnet50", path)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_files_that_are_no_weights_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(ConfigError, match="cannot be read as weights"):
        read_state(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigError, match="cannot be read as weights"):
        read_state(path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.pth")
    with pytest.raises(ConfigError, match="no state dict"):
        read_state(tmp_path / "list.pth")


@pytest.mark.parametrize("side", [6, 7])
def test_pools_pad_as_keras_does(side: int) -> None:
    ramp = torch.arange(float(side * side)).view(1, 1, side, side)
    pooled = SamePool2d()(ramp)[0, 0]
    begin = (
        0 if side % 2 == 0 else -1
    )  # Keras: the first window starts at the edge where one pixel of padding is needed
    wanted = [min(begin + 2 * index + 2, side - 1) for index in range(-(-side // 2))]
    assert pooled.tolist() == [[row * side + column for column in wanted] for row in map(float, wanted)]


@pytest.mark.shared
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2", "xception"])
def test_the_public_files_load(name: str) -> None:
    public = NETWORKS[name].public
    assert public
    path = WEIGHTS / public.file
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    network = build(name, 3).eval()
    load_public(network, name, path)
    for key, value in load_file(path).items():
        if not key.startswith(NETWORKS[name].head):
            assert torch.equal(network.state_dict()[key], value.float() if value.is_floating_point() else value), key
    with torch.inference_mode():
        assert torch.isfinite(network(_films(name))).all()
