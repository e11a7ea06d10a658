"""OpenVINO beside torch: the same logits and maps from the same weights, and no service without a record of that."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cxr_node.errors import ConfigError, Permanent
from cxr_node.imaging import prepare_grey, read_picture
from cxr_node.inference import agreement, golden, manifest, openvino
from cxr_node.inference.agreement import Agreement
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.network import FilmNetwork
from cxr_node.inference.predictor import Predictor, analyse
from tests.models import one_thread, small_model
from training.agree import agree

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "cxr"
SERVING = [model for model in manifest.list_models() if model.network]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def small(tmp_path: Path) -> Manifest:
    return small_model(tmp_path / "models", "small")


def phantoms(count: int, size: int) -> np.ndarray:
    return np.stack([golden.phantom(index, size) / np.float32(255) for index in range(count)]).astype(np.float32)


@pytest.mark.parametrize("model", SERVING, ids=lambda model: model.called)
def test_every_shipped_model_is_served_and_agrees_to_what_is_on_record(model: Manifest) -> None:
    own, other = Predictor(model, "cpu"), Predictor(model, "auto", backend="openvino")
    assert str(other.device) == "cpu"
    films = phantoms(8, model.size)
    for count in (1, 3, 8):
        apart = np.abs(own.probe(films[:count]) - other.probe(films[:count])).max()
        assert 0 <= apart <= agreement.TOLERANCE
    for one, another in zip(own.predict(films), other.predict(films), strict=True):
        assert another.explanation == "cam"
        np.testing.assert_allclose(another.logits, one.logits, atol=agreement.TOLERANCE)
        np.testing.assert_allclose(another.activations, one.activations, atol=1e-4)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared films are not here")
@pytest.mark.parametrize("model", SERVING, ids=lambda model: model.called)
def test_the_probability_of_real_films_is_the_same(model: Manifest) -> None:
    paths = [path for source in ("kermany", "nih_chestxray14") for path in sorted((SHARED / source).glob("*.jpg"))[:12]]
    assert len(paths) == 24
    films = np.stack([prepare_grey(read_picture(path), model.size) for path in paths])
    own, other = Predictor(model, "cpu"), Predictor(model, "cpu", backend="openvino")
    for film in films:
        one, another = (analyse(model, each.predict(film[None])[0]) for each in (own, other))
        assert abs(one.probability - another.probability) <= agreement.TOLERANCE
        np.testing.assert_allclose(another.activation, one.activation, atol=2e-3)


@pytest.mark.parametrize("explanation", ["gradcam", "occlusion"])
def test_other_explanations_are_the_same_too(small: Manifest, explanation: Any) -> None:
    agree(small)
    films = phantoms(2, small.size)
    own, other = (Predictor(small, "cpu", explanation, backend) for backend in ("torch", "openvino"))
    for one, another in zip(own.predict(films), other.predict(films), strict=True):
        assert one.explanation == another.explanation == explanation
        np.testing.assert_allclose(another.logits, one.logits, atol=1e-5)
        np.testing.assert_allclose(another.activations, one.activations, atol=1e-4)


def test_what_is_measured_goes_on_record_and_changes_no_build(small: Manifest) -> None:
    found = agree(small)
    assert found.films == 32
    assert found.logits <= agreement.TOLERANCE
    again = manifest.load(small.directory)
    assert again.digest == small.digest
    assert agreement.require(again, "openvino") == found


def record(build: Manifest, found: Agreement | None = None, **changes: Any) -> None:
    agreement.write(build, "openvino", found or Agreement("1", 8, 1e-6))
    path = build.directory / agreement.RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _: None, "It is not on record for the model small 1.0.0 that openvino computes"),
        (lambda model: record(model, model="0" * 64), "It is not on record"),
        (lambda model: record(model, backends={}), "It is not on record"),
        (lambda model: record(model, backends={"openvino": {"logits": 0}}), "It is not on record"),
        (lambda model: (model.directory / agreement.RECORD).write_text("{"), "It is not on record"),
        (lambda model: record(model, Agreement("1", 8, 1.1e-5)), "a logit of the model small 1.0.0 differs by 1.1e-05"),
        (lambda model: record(model, Agreement("1", 8, float("nan"))), "differs by nan"),
    ],
)
def test_a_model_without_agreement_on_record_is_not_served(
    small: Manifest, spoil: Callable[[Manifest], None], said: str
) -> None:
    spoil(small)
    with pytest.raises(ConfigError, match=said):
        Predictor(small, "cpu", backend="openvino")
    Predictor(small, "cpu")


def test_a_model_that_computes_something_else_here_is_not_served(tmp_path: Path) -> None:
    folder = small_model(tmp_path / "models", "small").directory
    expected = {name: [value + 0.01 for value in row] for name, row in json.loads(_text(folder)).items()}
    (folder / golden.EXPECTED).write_text(json.dumps(expected))
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    metadata["files"].pop(golden.EXPECTED.as_posix())
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    changed = manifest.load(folder)
    agree(changed)
    with pytest.raises(Permanent) as caught:
        Predictor(changed, "cpu", backend="openvino")
    assert caught.value.code == "MODEL_GOLDEN"


def _text(folder: Path) -> str:
    return (folder / golden.EXPECTED).read_text()


def test_it_computes_on_no_graphics_card(small: Manifest) -> None:
    with pytest.raises(ConfigError, match="OpenVINO computes on the processor"):
        Predictor(small, "cuda", backend="openvino")


class _Other(FilmNetwork):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 3)

    def features(self, films: Tensor) -> Tensor:
        return torch.relu(self.convolution(films))


def test_other_networks_are_not_compiled() -> None:
    with pytest.raises(ConfigError, match="_Other is not one that OpenVINO computes"):
        openvino.compiled(_Other(), 32)


def run(program: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(home)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)


def test_without_the_package_it_is_said_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['openvino'] = None\n"
        "from cxr_node.errors import ConfigError\nfrom cxr_node.inference import openvino\n"
        "try: openvino.version()\nexcept ConfigError as error: print(error.message)"
    )
    assert "install cxr-node[openvino]" in run(program, tmp_path).stdout


def test_nobody_is_told_that_it_is_used(tmp_path: Path) -> None:
    left = "from pathlib import Path; print(*[path.name for path in Path.home().iterdir()])"
    run("import openvino", tmp_path)
    assert (tmp_path / "intel").is_dir(), "it does tell, unless it is kept from it"
    home = tmp_path / "kept"
    home.mkdir()
    program = f"from cxr_node.inference import openvino; openvino.version(); {left}"
    assert run(program, home).stdout.strip() == ""
