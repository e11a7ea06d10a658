"""What a finished network is told last: how far its shade is to be believed where it speaks alone.

The shade was fitted to speak beside the detail, and so it says little. On an unfamiliar film its logit alone would lie
near the middle, above the threshold that familiar films set, whatever the film shows.
"""

from collections.abc import Sequence

import numpy as np
import torch

from cxr_node.inference.calibration import logit
from cxr_node.inference.network import FilmNetwork
from cxr_node.inference.shade import ShadedLite0
from training.calibrate import balanced, calibrate, calibrated, operating_points, scale_and_bias, weighted_quantile
from training.data import Film
from training.priming import film_batches
from training.recipe import Recipe
from training.task import FindingAndKind, Task

SENSITIVITY = 0.8
"""The share of validation films with the finding that the shade alone is to put at the threshold or above.

Lower than the threshold's own: it tells less, and whoever calls nearly all unfamiliar films positive orders nothing.
"""


@torch.inference_mode()
def settle(network: FilmNetwork, films: Sequence[Film], recipe: Recipe, task: Task) -> None:
    """Calibrate the shade alone on validation films, if the network has one, so that both share one threshold.

    Nothing is changed where the films are all of one label, or the shade or the whole network tells nothing.

    Raises:
        ConfigError: a film cannot be used.
    """
    if not (isinstance(network, ShadedLite0) and isinstance(task, FindingAndKind)):
        return
    finding = np.array([film.pneumonia for film in films])
    if len(set(finding)) < 2:
        return
    shown = list(film_batches(films, recipe))
    whole = torch.cat([network.wholly(batch) for batch in shown]).double().numpy()
    shade = torch.cat([network.shade(batch).mean(dim=(2, 3)) for batch in shown])[:, 0].double().numpy()
    calibration = calibrate(films, whole)
    slope, _ = scale_and_bias(shade, finding, balanced(films))
    if calibration.finding_scale <= 0 or slope <= 0:
        return
    probabilities = calibrated(whole[:, 0], calibration.finding_scale, calibration.finding_bias)
    threshold = logit(operating_points(films, probabilities).threshold)
    ill = finding == 1
    reached = weighted_quantile(shade[ill], balanced(films)[ill], 1 - SENSITIVITY)
    scale = slope / calibration.finding_scale
    network.alone_scale[0] = scale
    network.alone_bias[0] = (threshold - calibration.finding_bias) / calibration.finding_scale - scale * reached
