"""The convolutions of a network by OpenVINO on a processor: nearly all of its work, in half of torch's time.

What is around them, and the maps that come of the same pass, stay torch's. The weights are the model's own, in single
precision; nothing but the network in memory is converted, so that a model has one set of weights.
"""

import sys
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cxr_node.errors import ConfigError
from cxr_node.inference.network import EfficientNetLite, FilmNetwork
from cxr_node.inference.shade import ShadedLite0
from cxr_node.message import Message

NAME = "openvino"


def version() -> str:
    """The version of OpenVINO. Raises ConfigError where it is not installed."""
    return str(_package().__version__).partition("-")[0]


def compiled(network: FilmNetwork, size: int) -> FilmNetwork:
    """The network, in evaluation mode, with its convolutions compiled for films of size x size; itself is given up.

    As many threads as torch has. Raises ConfigError where OpenVINO is not installed, or the network is not one of those
    that are compiled.
    """
    if isinstance(network, ShadedLite0):
        network.detail = _Compiled(network.detail, size)
        return network
    if isinstance(network, EfficientNetLite):
        return _Compiled(network, size)
    raise ConfigError(
        Message("The network {network} is not one that OpenVINO computes here.", network=type(network).__name__)
    )


class _Compiled(EfficientNetLite):
    """A network whose feature maps come from OpenVINO; its head is the same."""

    def __init__(self, own: EfficientNetLite, size: int) -> None:
        nn.Module.__init__(self)  # it has no convolutions of its own
        self.drop, self.classifier = own.drop, own.classifier
        self._request = _compile(_Trunk(own), size).create_infer_request()

    def look(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """As of `EfficientNetLite`."""
        early, last = self._request.infer({0: films.contiguous().numpy()}).values()
        return torch.from_numpy(np.array(early)), torch.from_numpy(np.array(last))


class _Trunk(nn.Module):
    def __init__(self, network: EfficientNetLite) -> None:
        super().__init__()
        self.network = network

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.look(films)


def _compile(trunk: nn.Module, size: int) -> Any:
    runtime = _package()
    from openvino.frontend import FrontEndManager  # noqa: PLC0415 - optional
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder  # noqa: PLC0415 - optional

    example = torch.zeros(1, 1, size, size)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the padding follows the size of the film, which is always this one
        traced = torch.jit.trace(trunk, example)  # type: ignore[no-untyped-call]
    decoder = TorchScriptPythonDecoder(traced, example_input=(example,))
    frontend = FrontEndManager().load_by_framework("pytorch")
    read = frontend.load(decoder)
    model = frontend.convert(read)
    model.reshape([-1, 1, size, size])
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # other work is on these cores, too
    }
    return runtime.Core().compile_model(model, "CPU", settings)


def _package() -> Any:
    """OpenVINO, kept from telling Intel that it is used: it would make an identity for the machine when imported."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as if it were not installed
    try:
        import openvino  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ConfigError(
            Message("OpenVINO is not installed; install cxr-node[openvino], or set inference.backend to torch.")
        ) from error
    return openvino
