"""What the folder of a gate says about itself, read and checked without loading its network. Free of torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_node.domain.quality import Limits
from cxr_node.errors import ConfigError
from cxr_node.inference.build import (
    METADATA,
    Build,
    builtin_directory,
    loaded,
    read_metadata,
    stated,
    task_of,
    version_key,
)
from cxr_node.message import Message

TASK = "gate"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateManifest(Build):
    """One build of a gate, with its limits."""

    limits: Limits


def load(directory: Path) -> GateManifest:
    """The manifest of a gate's folder; the other files are not touched.

    Raises:
        ConfigError: the metadata are missing, unreadable, incomplete, or of a model for another task.
    """
    return loaded(directory, TASK, Message("and is no gate"), _manifest)


def _manifest(directory: Path, digest: str, metadata: Any) -> GateManifest:
    limits = {name: float(limit) for name, limit in metadata["cxr_node"]["limits"].items()}
    return GateManifest(**stated(directory, digest, metadata), limits=Limits(**limits))


def list_gates(directory: Path | None = None) -> list[GateManifest]:
    """Every gate of a models folder (None: the shipped ones), by name, newest version first.

    Raises:
        ConfigError: one of them has no usable metadata.
    """
    return _found(directory, "*")


def _found(directory: Path | None, name: str) -> list[GateManifest]:
    models = builtin_directory() if directory is None else directory
    paths = [path for path in models.glob(f"{name}/*/{METADATA}") if _is_gate(path)]
    newest_first = sorted(
        (load(path.parents[1]) for path in paths), key=lambda each: version_key(each.version), reverse=True
    )
    return sorted(newest_first, key=lambda each: each.name)


def _is_gate(path: Path) -> bool:
    """Whether metadata are those of a gate; those that do not tell are not this module's to complain of."""
    try:
        return task_of(read_metadata(path)[1]) == TASK
    except (ConfigError, KeyError, TypeError, AttributeError):
        return False


def find(directory: Path | None, name: str) -> GateManifest:
    """The latest version of a gate in a models folder; where that has none of this name, the shipped one.

    Raises:
        ConfigError: there is none; the sentence says which there are.
    """
    for models in dict.fromkeys((directory, None)):
        for gate in _found(models, name):
            return gate
    known = ", ".join(f"{gate.name} {gate.version}" for gate in list_gates()) or Message("none at all")
    raise ConfigError(Message("There is no gate {name!r}; there are: {known}.", name=name, known=known))
