"""What the folder of a gate says about itself, read and checked without loading its network. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxr_node.domain.finding import ModelIdentity
from cxr_node.domain.quality import Limits
from cxr_node.errors import ConfigError
from cxr_node.inference.build import METADATA, WEIGHTS, builtin_directory, loaded, read_metadata, task_of, version_key

TASK = "gate"


@dataclass(frozen=True, slots=True)
class GateManifest:
    """One build of a gate: its limits, what it may be used for, and where its files are; fields as in `Manifest`."""

    name: str
    version: str
    digest: str
    directory: Path
    size: int
    limits: Limits
    intended_use: str
    licence: str
    files: Mapping[str, str] = field(repr=False)
    restriction: str = ""

    @property
    def identity(self) -> ModelIdentity:
        """Name, version and digest, as assessments carry them."""
        return ModelIdentity(self.name, self.version, self.digest)

    @property
    def weights(self) -> Path:
        """The network's weights (safetensors)."""
        return self.directory / WEIGHTS

    @property
    def card(self) -> Path:
        """The model card (Markdown)."""
        return self.directory / "docs" / "README.md"


def load(directory: Path) -> GateManifest:
    """The manifest of a gate's folder; the other files are not touched.

    Raises:
        ConfigError: the metadata are missing, unreadable, incomplete, or of a model for another task.
    """
    return loaded(directory, TASK, "and is no gate", _manifest)


def _manifest(directory: Path, digest: str, metadata: Any) -> GateManifest:
    ours = metadata["cxr_node"]
    return GateManifest(
        name=str(metadata["name"]),
        version=str(metadata["version"]),
        digest=digest,
        directory=directory,
        size=int(ours["size"]),
        limits=Limits(**{name: float(limit) for name, limit in ours["limits"].items()}),
        intended_use=str(metadata["intended_use"]),
        licence=str(metadata["copyright"]),
        files=dict(metadata["files"]),
        restriction=str(ours.get("restriction", "")),
    )


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
    known = ", ".join(f"{gate.name} {gate.version}" for gate in list_gates()) or "none at all"
    raise ConfigError(f"There is no gate {name!r}; there are: {known}.")
