"""What the folder of a model that finds something says about itself, read and checked without loading the network.

This module is free of torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_node.domain.finding import Cutoffs, Term, Terms
from cxr_node.errors import ConfigError
from cxr_node.inference.build import (
    FINDING,
    METADATA,
    Build,
    builtin_directory,
    loaded,
    read_metadata,
    stated,
    task_of,
    version_key,
)
from cxr_node.inference.calibration import Calibration, ClassCalibration, shift
from cxr_node.inference.outputs import Classes, FindingAndKind, Outputs
from cxr_node.message import Message

LATEST = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Build):
    """One model build: what it finds, and how its outputs are read.

    `finding` is the one that sets the severity of a film. `points` are the model's own operating points at the training
    films' prevalence. A model with a `restriction` serves only where a site names it.
    """

    network: str
    finding: str
    outputs: Outputs
    terms: Terms
    points: Cutoffs
    family: str
    population: str

    @property
    def called(self) -> str:
        """What people call this build: NAME:VERSION."""
        return f"{self.name}:{self.version}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that a film may be of."""
        return self.outputs.classes

    @property
    def calibration(self) -> Calibration | ClassCalibration:
        """What makes probabilities of the logits."""
        return self.outputs.calibration

    def cutoffs(
        self,
        prevalence: float | None = None,
        threshold: float | None = None,
        medium: float | None = None,
        high: float | None = None,
    ) -> Cutoffs:
        """Where this site reads the probability as positive, and as which tier.

        What the site states is used as it is. The model's own points move with the prevalence exactly as the
        probabilities do, so that stating one changes no decision; and a positive film is at least medium.
        """
        own = [
            shift(point, self.outputs.prevalence, prevalence)
            for point in (self.points.threshold, self.points.medium, self.points.high)
        ]
        positive = own[0] if threshold is None else threshold
        return Cutoffs(
            threshold=positive,
            medium=min(own[1], positive) if medium is None else medium,
            high=own[2] if high is None else high,
        )


def load(directory: Path) -> Manifest:
    """The manifest of a model folder; the other files are not touched (see `verify`).

    Raises:
        ConfigError: the metadata are missing, unreadable, incomplete, or of a model for another task.
    """
    return loaded(directory, FINDING, Message("and finds nothing"), _manifest)


def _manifest(directory: Path, digest: str, metadata: Any) -> Manifest:
    ours = metadata["cxr_node"]
    outputs = _outputs(ours)
    return Manifest(
        **stated(directory, digest, metadata),
        network=str(ours["network"]),
        finding=str(ours["finding"]),
        outputs=outputs,
        terms=_terms(ours, outputs),
        points=Cutoffs(**ours["operating_points"]),
        family=str(ours["family"]),
        population=str(ours["population"]),
    )


def _outputs(ours: Any) -> Outputs:
    """As `form` says; the first models had one form only, and do not say it."""
    form, classes, calibration = ours.get("form", "finding_and_kind"), tuple(ours["classes"]), ours["calibration"]
    if form == "finding_and_kind":
        return FindingAndKind(classes, Calibration(**calibration))
    if form == "classes":
        scales, biases = tuple(calibration["scales"]), tuple(calibration["biases"])
        calibrated = ClassCalibration(scales, biases, calibration["prevalence"])
        return Classes(classes, tuple(ours["finding_classes"]), calibrated)
    raise ValueError(f"the form {form!r} is not known; there are finding_and_kind and classes")


def _terms(ours: Any, outputs: Outputs) -> Terms:
    """The outputs in documents; of the classes that are not of the finding, those with a code are findings too."""
    codes = {
        name: Term(str(code["value"]), str(code["scheme"]), dict(code["meanings"]))
        for name, code in ours.get("codes", {}).items()
    }
    others = tuple(name for name in outputs.classes if name in codes and name not in (*outputs.kinds, ours["finding"]))
    return Terms(outputs.kinds, others, codes)


def list_models(directory: Path | None = None) -> list[Manifest]:
    """Every model of a models folder (None: the shipped ones) that finds something, by name, newest version first.

    Raises:
        ConfigError: the folder is missing, or one of its models has no usable metadata.
    """
    return _found(directory, "*")


def _found(directory: Path | None, name: str) -> list[Manifest]:
    """The models whose folder's name fits the pattern `name`."""
    models = builtin_directory() if directory is None else directory
    try:
        if not models.is_dir():
            raise ConfigError(Message("The models folder {folder} does not exist.", folder=models))
    except OSError as error:  # no permission, or no name that a folder could have
        why = Message("The models folder {folder} cannot be looked into: {error}.", folder=models, error=error.strerror)
        raise ConfigError(why) from error
    folders = [path.parent.parent for path in models.glob(f"{name}/*/{METADATA}")]
    found = [load(folder) for folder in folders if _finds(folder)]
    newest_first = sorted(found, key=lambda each: version_key(each.version), reverse=True)
    return sorted(newest_first, key=lambda each: each.name)


def find(directory: Path | None, name: str, version: str = LATEST) -> Manifest:
    """A model by name and version, or its latest version, in a models folder (None: the shipped ones).

    A restricted version is the latest only where every version of that name is restricted. Other models of the folder
    need not be usable.

    Raises:
        ConfigError: there is none; the sentence says which there are.
    """
    models = _found(directory, name)
    for model in sorted(models, key=lambda each: bool(each.restriction)):
        if model.name == name and version in (LATEST, model.version):
            return model
    known = ", ".join(f"{model.name} {model.version}" for model in list_models(directory)) or Message("none at all")
    raise ConfigError(
        Message("There is no model {name} {version}; there are: {known}.", name=name, version=version, known=known)
    )


def named(directory: Path | None, name: str) -> Manifest:
    """A model by what people call it: NAME, which is its latest version, or NAME:VERSION. Raises as `find`."""
    plain, _, version = name.partition(":")
    return find(directory, plain, version or LATEST)


def _finds(folder: Path) -> bool:
    """Whether the model in a folder is one to find something; `load` says what is wrong with one that does not tell."""
    try:
        return task_of(read_metadata(folder / METADATA)[1]) == FINDING
    except (KeyError, TypeError, AttributeError):
        return True
