"""Whether another backend computes what torch does: measured on films, and put on record for a build of a model."""

import numpy as np
import torch

from cxr_node.inference import agreement, golden, openvino
from cxr_node.inference.agreement import Agreement
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.predictor import network_of

PHANTOMS, NOISE = 24, 8
BATCHES = (1, 2, 8, 32)
"""Films at once: torch takes other kernels for many than for few, and rounds otherwise."""


def agree(manifest: Manifest) -> Agreement:
    """Measure how nearly OpenVINO computes the logits of a model, and record it in the model's folder.

    The films are drawings of chests and plain noise, and each weight has a part in the logits. The record has the
    largest difference over the numbers of films that may come at once. Raises ConfigError where OpenVINO is not
    installed.
    """
    version, size = openvino.version(), manifest.size
    drawn = [golden.phantom(index, size) / np.float32(255) for index in range(PHANTOMS)]
    noise = np.random.default_rng(1).random((NOISE, size, size), np.float32)
    films = torch.from_numpy(np.concatenate([np.stack(drawn).astype(np.float32), noise]))[:, None]
    own, other = network_of(manifest), openvino.compiled(network_of(manifest), size)
    with torch.inference_mode():
        apart = max(
            float((own.wholly(some) - other.wholly(some)).abs().max())
            for count in BATCHES
            for some in (films[begin : begin + count] for begin in range(0, len(films), count))
        )
    found = Agreement(version, len(films), apart)
    agreement.write(manifest, openvino.NAME, found)
    return found
