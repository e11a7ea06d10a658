"""Films to logits and activation maps, and those to an analysis in the node's terms."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from cxr_node.domain.finding import Analysis
from cxr_node.errors import ConfigError, Permanent
from cxr_node.inference import agreement, golden, openvino
from cxr_node.inference.build import verify
from cxr_node.inference.explain import Explanation, explain
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.network import FilmNetwork, channels_last, fold_norms
from cxr_node.inference.networks import NETWORKS
from cxr_node.message import Message

DEVICES = ("auto", "cpu", "cuda")
Backend = Literal["torch", "openvino"]
"""What computes the network."""
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one film: a logit for each output (n,), and its evidence for each (n, h, w), signed.

    What the outputs mean stands in the manifest. `explanation` is `cam` (then the mean of each map is its logit) or
    `gradcam` or `occlusion`.
    """

    logits: Floats
    activations: Floats = field(repr=False)
    explanation: str = "cam"


class FilmPredictor(Protocol):
    """A model that judges films, wherever it is computed; `device` says where, for people, as `str` gives it."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def device(self) -> object: ...

    def predict(self, batch: Floats, /) -> list[Prediction]:
        """As of `Predictor`; raises Transient where that is elsewhere and cannot be reached."""
        ...

    def probe(self, batch: Floats, /) -> Floats:
        """As of `Predictor`; raises as `predict` does."""
        ...


class Predictor:
    """A verified model, loaded and ready; not to be shared between threads.

    `backend` openvino computes on the processor, for a model of which it is on record that it agrees with torch; that
    the model computes with it here what it did at release is looked at when it is loaded.

    Raises:
        ConfigError: the device is unknown or not there, the manifest names a network that is not known, or the backend
            cannot serve the model.
        Permanent: MODEL_DIGEST: a file of the model is not the one it was released with; MODEL_WEIGHTS: its weights are
            not of its network; MODEL_GOLDEN: the backend computes something else here.
    """

    def __init__(
        self,
        manifest: Manifest,
        device: str = "auto",
        explanation: Explanation = "cam",
        backend: Backend = "torch",
    ) -> None:
        verify(manifest)
        self.manifest = manifest
        self._explanation = explanation
        if backend == openvino.NAME:
            self.device = _processor(device)
            agreement.require(manifest, backend)
            self._network = openvino.compiled(network_of(manifest), manifest.size)
            golden.check(self)
        else:
            self.device = _device(device)
            self._network = network_of(manifest).to(self.device)

    def predict(self, batch: Floats) -> list[Prediction]:
        """One prediction for each film of (n, size, size), float32 in 0..1, as `imaging.prepare` makes them.

        A film's result does not depend on the others in its batch (to 1e-5).
        """
        films = self._films(batch)
        logits, maps, explanation = explain(self._network, films, self._explanation)
        rows, activations = logits.cpu().numpy(), maps.cpu().numpy()
        return [Prediction(row, activation, explanation) for row, activation in zip(rows, activations, strict=True)]

    def probe(self, batch: Floats) -> Floats:
        """Logits (n, outputs) that every weight has a part in, of films as `predict` takes them: for golden outputs."""
        with torch.inference_mode():
            logits: Floats = self._network.wholly(self._films(batch)).cpu().numpy()
        return logits

    def _films(self, batch: Floats) -> torch.Tensor:
        size = self.manifest.size
        if batch.ndim != 3 or batch.shape[1:] != (size, size):
            raise ValueError(f"a batch has the shape (n, {size}, {size}), not {batch.shape}")
        return torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32))[:, None].to(self.device)


def analyse(manifest: Manifest, prediction: Prediction, prevalence: float | None = None) -> Analysis:
    """A prediction as the node stores it, at the site's prevalence (0..1) where it states one.

    The activation is the evidence for the finding: what is positive of the calibrated map, as a share of its largest
    value; all zero where no part of the film speaks for the finding.
    """
    logits = [float(each) for each in prediction.logits]
    probability, classes = manifest.outputs.read(logits, prevalence)
    return Analysis(
        model=manifest.identity,
        finding=manifest.finding,
        probability=probability,
        probabilities=classes,
        activation=_evidence(prediction, logits, manifest),
        explanation=prediction.explanation,
        terms=manifest.terms,
        logits=tuple(logits),
        calibration=manifest.outputs.site_calibration,
    )


def _evidence(prediction: Prediction, logits: list[float], manifest: Manifest) -> tuple[tuple[float, ...], ...]:
    closed_form = prediction.explanation == "cam"
    evidence = manifest.outputs.evidence(prediction.activations, logits, closed_form=closed_form)
    positive = np.maximum(evidence, 0)
    largest = float(positive.max())
    share = positive / largest if largest > 0 else positive
    return tuple(tuple(round(float(each), 4) for each in row) for row in share)


def network_of(manifest: Manifest) -> FilmNetwork:
    """The network of a model with its weights, ready to judge films on a processor; its files are not verified.

    Raises ConfigError and MODEL_WEIGHTS as `Predictor`.
    """
    build = NETWORKS.get(manifest.network)
    if build is None:
        raise ConfigError(
            Message(
                "The model {name} asks for the network {network!r}, which is not known.",
                name=manifest.name,
                network=manifest.network,
            )
        )
    network = build(manifest.outputs.count)
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(manifest.weights).items()})
    except (RuntimeError, SafetensorError) as error:
        raise Permanent(
            "MODEL_WEIGHTS",
            Message(
                "The weights of the model {name} {version} are not of the network {network} with {count} outputs, or "
                "damaged. Reinstall the model.",
                name=manifest.name,
                version=manifest.version,
                network=manifest.network,
                count=manifest.outputs.count,
            ),
        ) from error
    network.eval()
    fold_norms(network)
    channels_last(network)
    return network


def device_name(device: torch.device) -> str:
    """A device for people: with the name of the card, where it is one."""
    return f"{device.type} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _device(name: str) -> torch.device:
    if name not in DEVICES:
        known = ", ".join(DEVICES)
        raise ConfigError(Message("The device {name!r} is not known; it is one of {known}.", name=name, known=known))
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError(Message("The device is set to cuda, but no CUDA device is there; set it to auto or cpu."))
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def _processor(name: str) -> torch.device:
    if name == "cuda":
        raise ConfigError(
            Message("OpenVINO computes on the processor; set inference.device to auto or cpu, or the backend to torch.")
        )
    return _device("cpu")
