"""A build of a model as a folder `<name>/<version>`, whatever it is for: its metadata, its digests, and its release.

The folder is shaped as a MONAI bundle: configs/metadata.json, weights.safetensors, golden/, docs/README.md. The
metadata list the SHA-256 of every other file, so that their own digest identifies the build. This module is free of
torch.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cxr_node
from cxr_node.domain.finding import ModelIdentity
from cxr_node.errors import ConfigError, Permanent
from cxr_node.message import Message

METADATA = Path("configs", "metadata.json")
RELEASES = "RELEASES"
WEIGHTS = "weights.safetensors"
FINDING = "finding"
"""The task of a model that says nothing of one."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build of a model, whatever it is for: what it is called, what it may be used for, and where its files are.

    `size` is the side of the square film that the network sees, in pixels. `restriction` is a sentence on what its
    training films do not allow, empty where they allow everything. `files` maps each other file's path in the folder to
    its SHA-256; `digest` is that of the metadata.
    """

    name: str
    version: str
    digest: str
    directory: Path
    size: int
    intended_use: str
    licence: str
    restriction: str
    files: Mapping[str, str] = field(repr=False)

    @property
    def identity(self) -> ModelIdentity:
        """Name, version and digest, as results and assessments carry them."""
        return ModelIdentity(self.name, self.version, self.digest)

    @property
    def weights(self) -> Path:
        """The network's weights (safetensors)."""
        return self.directory / WEIGHTS

    @property
    def card(self) -> Path:
        """The model card (Markdown)."""
        return self.directory / "docs" / "README.md"


def stated(directory: Path, digest: str, metadata: Any) -> dict[str, Any]:
    """The fields of `Build`, as every metadata state them. Raises KeyError, ValueError, TypeError or AttributeError."""
    ours = metadata["cxr_node"]
    return {
        "name": str(metadata["name"]),
        "version": str(metadata["version"]),
        "digest": digest,
        "directory": directory,
        "size": int(ours["size"]),
        "intended_use": str(metadata["intended_use"]),
        "licence": str(metadata["copyright"]),
        "restriction": str(ours.get("restriction", "")),
        "files": dict(metadata["files"]),
    }


def loaded(directory: Path, wanted: str, otherwise: str, make: Callable[[Path, str, Any], T]) -> T:
    """What `make` makes of a model's folder, the digest of its metadata, and these.

    Raises:
        ConfigError: the metadata are missing, unreadable, incomplete, or of a model for another task than `wanted`;
            then the sentence ends as `otherwise`.
    """
    path = directory / METADATA
    digest, metadata = read_metadata(path)
    try:
        if (task := task_of(metadata)) != wanted:
            raise ConfigError(
                Message(
                    "The model {directory} is for the task {task!r}, {otherwise}.",
                    directory=directory,
                    task=task,
                    otherwise=otherwise,
                )
            )
        return make(directory, digest, metadata)
    except ValueError as error:
        raise ConfigError(Message("{path} misstates the model: {error}.", path=path, error=error)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(Message("{path} lacks or misstates {error}.", path=path, error=error)) from error


def read_metadata(path: Path) -> tuple[str, Any]:
    """The digest and the content of metadata."""
    try:
        data = path.read_bytes()
        return hashlib.sha256(data).hexdigest(), json.loads(data)
    except OSError as error:
        where, why = path.parents[1], error.strerror
        raise ConfigError(
            Message("The model {directory} has no readable {file}: {error}.", directory=where, file=METADATA, error=why)
        ) from error
    except ValueError as error:
        raise ConfigError(Message("{path} is not valid JSON: {error}.", path=path, error=error)) from error


def task_of(metadata: Any) -> str:
    """What a model is for: to find something, unless it says otherwise."""
    return str(metadata["cxr_node"].get("task", FINDING))


def builtin_directory() -> Path:
    """Where the shipped models are: in the installed package, or else at the top of the source tree."""
    package = Path(cxr_node.__file__).parent
    installed = package / "_models"
    return installed if installed.is_dir() else package.parent / "models"


def is_release(manifest: Build) -> bool:
    """Whether the model is one that this release of the node came with, by the list beside the shipped models.

    Raises:
        Permanent: MODEL_DIGEST: it has the name and version of one, and is another build.
    """
    lines = (builtin_directory() / RELEASES).read_text("utf-8").splitlines()
    digests = {(name, version): digest for name, version, digest in map(str.split, lines)}
    released = digests.get((manifest.name, manifest.version), manifest.digest)
    if released != manifest.digest:
        raise _changed(manifest, str(METADATA), manifest.digest, released)
    return (manifest.name, manifest.version) in digests


def version_key(version: str) -> tuple[tuple[int, str], ...]:
    """1.10.0 after 1.9.0; parts that are no numbers come first."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in version.split("."))


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify(manifest: Build) -> None:
    """Recompute the digest of every file of a model.

    Raises:
        Permanent: MODEL_DIGEST: a file is missing, or is not the one that the model was released with.
    """
    for name, expected in {str(METADATA): manifest.digest, **manifest.files}.items():
        path = manifest.directory / name
        try:
            found = sha256(path)
        except OSError as error:
            found = Message("none ({error})", error=error.strerror)
        if found != expected:
            raise _changed(manifest, name, found, expected)


def _changed(manifest: Build, file: str, found: str, expected: str) -> Permanent:
    """What is said of a file that is not the one that the model was released with."""
    why = Message(
        "{file} of the model {name} {version} is not as released: SHA-256 {found}, expected {expected}. Reinstall the "
        "model.",
        file=file, name=manifest.name, version=manifest.version, found=found, expected=expected,
    )  # fmt: skip
    return Permanent("MODEL_DIGEST", why)
