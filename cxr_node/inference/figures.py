"""What a model was found to do on its test films, as numbers: docs/results.json beside its card."""

import json
from dataclasses import dataclass
from typing import Any

from cxr_node.errors import ConfigError
from cxr_node.inference.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Operating:
    """Sensitivity and specificity (0..1) for the model's finding at its own threshold, on the test films named."""

    films: str
    sensitivity: float
    specificity: float


def operating(model: Manifest) -> tuple[Operating, ...]:
    """For each group of test films, the one on which the model does worst (sensitivity + specificity) first.

    Raises:
        ConfigError: the model came without such figures, or they cannot be read.
    """
    path = model.directory / "docs" / "results.json"
    try:
        groups = json.loads(path.read_bytes())["test"]
        found = [_operating(name, group) for name, group in groups.items()]
    except OSError as error:
        raise ConfigError(f"The model {model.called} has no readable figures ({path}): {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} has no sensitivity and specificity by group of test films.") from error
    if not found:
        raise ConfigError(f"{path} has no group of test films.")
    return tuple(sorted(found, key=lambda each: each.sensitivity + each.specificity))


def _operating(name: str, group: Any) -> Operating:
    sensitivity, specificity = (float(group[what]["value"]) for what in ("sensitivity", "specificity"))
    if not (0 <= sensitivity <= 1 and 0 <= specificity <= 1):
        raise ValueError(f"{name}: no share")
    return Operating(name, sensitivity, specificity)
