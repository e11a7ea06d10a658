"""How nearly another backend computes what torch computes, as it was measured for a build of a model.

The record stands in the model's folder beside its metadata and names the build by its digest. It is no part of the
build: that is what is computed, and not by what. This module is free of torch.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxr_node.errors import ConfigError
from cxr_node.inference.build import Build
from cxr_node.message import Message

RECORD = Path("configs", "agreement.json")
TOLERANCE = 1e-5
"""Largest difference of a logit by which a backend may serve."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The largest difference of a logit between a backend and torch, over so many films; `version` is the backend's."""

    version: str
    films: int
    logits: float


def write(model: Build, backend: str, found: Agreement) -> None:
    """Put a measurement on record."""
    text = json.dumps({"model": model.digest, "backends": {backend: asdict(found)}}, indent=2) + "\n"
    (model.directory / RECORD).write_text(text, encoding="utf-8")


def require(model: Build, backend: str) -> Agreement:
    """What is on record of a backend.

    Raises:
        ConfigError: nothing that is of this build, or the backend differs by more than the tolerance.
    """
    try:
        record: Any = json.loads((model.directory / RECORD).read_text(encoding="utf-8"))
        found = Agreement(**record["backends"][backend]) if record["model"] == model.digest else None
    except (OSError, ValueError, LookupError, TypeError):
        found = None
    if found is None:
        raise ConfigError(
            Message(
                "It is not on record for the model {name} {version} that {backend} computes what torch does. Run "
                "`cxr-train agree` on its folder, or set inference.backend to torch.",
                name=model.name,
                version=model.version,
                backend=backend,
            )
        )
    if not found.logits <= TOLERANCE:
        raise ConfigError(
            Message(
                "With {backend} a logit of the model {name} {version} differs by {difference:.2g} from torch's, more "
                "than {tolerance:g}. Set inference.backend to torch.",
                name=model.name,
                version=model.version,
                backend=backend,
                difference=found.logits,
                tolerance=TOLERANCE,
            )
        )
    return found
