"""The gate: from the pixels of a film, whether it is one for the model, and what is to be said of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from cxr_node.domain import quality
from cxr_node.domain.eligibility import Refusal
from cxr_node.domain.quality import Assessment, Reading, Turn, View
from cxr_node.errors import ConfigError, Ineligible
from cxr_node.imaging import Prepared, resized
from cxr_node.inference.build import verify
from cxr_node.inference.calibration import sigmoid, softmax
from cxr_node.inference.gate_manifest import GateManifest
from cxr_node.inference.gate_network import SIDE, TURNS, VIEWS, GateNetwork
from cxr_node.inference.network import channels_last, fold_norms
from cxr_node.message import Message

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class GatePrediction:
    """What the network says of one film: four logits of view, four of turn, inverted, cropped, and the distance."""

    logits: Floats

    def reading(self) -> Reading:
        """The same as probabilities."""
        views, turns = softmax(_listed(self.logits[:4])), softmax(_listed(self.logits[4:8]))
        inverted, cropped, distance = _listed(self.logits[8:])
        return Reading(
            views=dict(zip(cast(Sequence[View], VIEWS), views, strict=True)),
            turns=dict(zip(cast(Sequence[Turn], TURNS), turns, strict=True)),
            inverted=sigmoid(inverted),
            cropped=sigmoid(cropped),
            distance=distance,
        )


class Gate:
    """A verified gate, loaded and ready, on the CPU; not to be shared between threads.

    Raises:
        ConfigError: the manifest asks for another size than the network has.
        Permanent: MODEL_DIGEST: a file of the gate is not the one it was released with.
    """

    def __init__(self, manifest: GateManifest) -> None:
        verify(manifest)
        if manifest.size != SIDE:
            raise ConfigError(
                Message(
                    "The gate {name} is for films of {size} pixels, not {side}.",
                    name=manifest.name,
                    size=manifest.size,
                    side=SIDE,
                )
            )
        self.manifest = manifest
        self._network = GateNetwork()
        self._network.load_state_dict({name: value.float() for name, value in load_file(manifest.weights).items()})
        self._network.eval()
        fold_norms(self._network)
        channels_last(self._network)

    def predict(self, batch: Floats) -> list[GatePrediction]:
        """One prediction for each film of (n, size, size), float32 in 0..1, as `imaging.prepare` makes them."""
        return predict(self._network, batch)

    def probe(self, batch: Floats) -> Floats:
        """What the network says of films as `predict` takes them, (n, outputs), for golden outputs."""
        return np.stack([each.logits for each in self.predict(batch)])

    def admit(self, film: Prepared) -> tuple[Prepared, Assessment]:
        """The film (size, size), of LEAST_SIDE or more, as the model is to see it, and what is to be said of it.

        Raises:
            Ineligible: BLANK, LATERAL, NOT_CHEST, INVERTED, with the reason.
        """
        found = quality.assess(partial(read, self._network, film), self.manifest.limits)
        if isinstance(found, Refusal):
            raise Ineligible(found.code, found.reason)
        assessment = Assessment(self.manifest.identity, *found)
        return 1 - film if assessment.inverted else film, assessment


def predict(network: GateNetwork, batch: Floats) -> list[GatePrediction]:
    """What a network in evaluation mode says of films (n, size, size), float32 in 0..1."""
    films = torch.from_numpy(np.stack([resized(film, SIDE) for film in batch]))[:, None]
    with torch.inference_mode():
        said = network(films)
    state = torch.stack([said.inverted, said.cropped, said.distance], dim=1)
    return [GatePrediction(row) for row in torch.cat([said.view, said.turn, state], dim=1).numpy()]


def read(network: GateNetwork, film: Prepared, inverted: bool) -> Reading:
    """What a network says of one film (size, size), or of it with black for white, as probabilities."""
    return predict(network, (1 - film if inverted else film)[None])[0].reading()


def admission(manifest: GateManifest | None) -> Callable[[Prepared], tuple[Prepared, Assessment | None]]:
    """How films are let in: by a gate, or without one as they are. Raises as `Gate` does."""
    return Gate(manifest).admit if manifest else lambda film: (film, None)


def _listed(values: Floats) -> list[float]:
    return [float(each) for each in values]
