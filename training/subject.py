"""What is evaluated: a run, two runs of which one passes films on to the other, or a released model.

Each answers one question or more about films (which class?), with logits and with the class that it calls.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import nn

from cxr_node.domain.finding import Cutoffs
from cxr_node.errors import ConfigError
from cxr_node.inference import build
from cxr_node.inference import manifest as manifests
from cxr_node.inference.calibration import Calibration, ClassCalibration
from cxr_node.inference.network import FilmNetwork
from training.data import BACTERIAL, Film
from training.fit import logits_of
from training.metrics import Floats
from training.networks.weights import read_state
from training.priming import film_batches
from training.reading import FINDING, KIND, NORMAL, Question, Reading, concerned, question_of
from training.recipe import Recipe
from training.run import Run, network_of
from training.scaling import Scaling, unscaled


class Subject(Protocol):
    """What can be asked about films."""

    @property
    def name(self) -> str:
        """As results call it."""
        ...

    @property
    def recipe(self) -> Recipe:
        """That it was trained by; of two, the second's."""
        ...

    @property
    def questions(self) -> tuple[Question, ...]:
        """What it answers; the first is the one that it is judged by."""
        ...

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs that it is made of; none for a released model."""
        ...

    @property
    def points(self) -> tuple[float, ...]:
        """The sensitivities at which its recipe wants operating points."""
        ...

    def read(self, films: Sequence[Film]) -> list[Reading]:
        """Its answer to each question, about the films that concern it."""
        ...


@dataclass(frozen=True, slots=True)
class ClassNetwork:
    """A network of a recipe with classes of its own; it calls the likeliest, calibrated where it brings that."""

    name: str
    recipe: Recipe
    network: FilmNetwork
    runs: tuple[Run, ...] = ()
    scaling: Scaling | None = None

    @property
    def points(self) -> tuple[float, ...]:
        """The recipe's."""
        return self.recipe.points

    @property
    def questions(self) -> tuple[Question, ...]:
        """The recipe's classes."""
        return (question_of(self.recipe),)

    def read(self, films: Sequence[Film]) -> list[Reading]:
        """Logits and the likeliest class."""
        chosen = concerned(self.questions[0], films)
        logits = read_logits(self.network, chosen, self.recipe)
        likely = (self.scaling or unscaled(len(self.recipe.classes))).probabilities(logits)
        return [Reading(self.questions[0], tuple(chosen), logits, likely.argmax(axis=1), self.scaling)]


@dataclass(frozen=True, slots=True)
class Cascade:
    """Two runs: what the first calls `passes` goes to the second (document 002)."""

    first: ClassNetwork
    second: ClassNetwork
    passes: str

    @property
    def name(self) -> str:
        """Of both."""
        return f"{self.first.name} + {self.second.name}"

    @property
    def recipe(self) -> Recipe:
        """The second's."""
        return self.second.recipe

    @property
    def runs(self) -> tuple[Run, ...]:
        """Both."""
        return self.first.runs + self.second.runs

    @property
    def points(self) -> tuple[float, ...]:
        """The first's."""
        return self.first.points

    @property
    def questions(self) -> tuple[Question, ...]:
        """The first's classes but the one passed on, then the second's; and the first's own."""
        first, second = self.first.questions[0], self.second.questions[0]
        kept = [name for name in first.classes if name != self.passes]
        labels = {label: kept.index(first.classes[place]) for label, place in first.labels.items()
                  if first.classes[place] != self.passes}  # fmt: skip
        labels |= {label: len(kept) + place for label, place in second.labels.items()}
        return (Question("cascade", (*kept, *second.classes), labels), first)

    def read(self, films: Sequence[Film]) -> list[Reading]:
        """The classes' probabilities are products; what is called is what the stages call one after the other."""
        question, first = self.questions
        chosen = concerned(question, films)
        one = read_logits(self.first.network, chosen, self.first.recipe)
        two = read_logits(self.second.network, chosen, self.second.recipe)
        passed = first.classes.index(self.passes)
        kept = [place for place in range(len(first.classes)) if place != passed]
        before, after = _log_softmax(one), _log_softmax(two)
        logits = np.column_stack([before[:, kept], before[:, [passed]] + after])
        stage = one.argmax(axis=1)
        places = np.array([kept.index(place) if place != passed else -1 for place in range(len(first.classes))])
        called = np.where(stage == passed, len(kept) + two.argmax(axis=1), places[stage])
        return [Reading(question, tuple(chosen), logits, called), *self.first.read(films)]


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """Two logits, as the node serves them: pneumonia against normal, bacterial against viral.

    Without a calibration a film with a logit above zero is called pneumonia.
    """

    name: str
    recipe: Recipe
    network: FilmNetwork
    runs: tuple[Run, ...] = ()
    calibration: Calibration | None = None
    cutoffs: Cutoffs | None = None

    @property
    def points(self) -> tuple[float, ...]:
        """The recipe's."""
        return self.recipe.points

    @property
    def questions(self) -> tuple[Question, ...]:
        """Pneumonia or not; and of which kind, of the films whose kind is known."""
        return (FINDING, KIND)

    def read(self, films: Sequence[Film]) -> list[Reading]:
        """Pneumonia is called by the model's own threshold, the kind by the likelier one."""
        chosen = concerned(FINDING, films)
        logits = read_logits(self.network, chosen, self.recipe)
        scaled = self._calibrated(logits)
        probability = 1 / (1 + np.exp(-scaled[:, 0]))
        positive = probability >= (self.cutoffs.threshold if self.cutoffs else 0.5)
        none = np.zeros(len(chosen))
        own = self.calibration and _two(self.calibration)
        finding = Reading(
            FINDING, tuple(chosen), np.column_stack([none, logits[:, 0]]), positive.astype(np.intp), own or None
        )
        known = [place for place, film in enumerate(chosen) if film.label == NORMAL or film.label in BACTERIAL]
        ill, kind = (_log_softmax(np.column_stack([none, scaled[:, place]]))[known] for place in (0, 1))
        joint = np.column_stack([ill[:, 0], ill[:, 1] + kind[:, 1], ill[:, 1] + kind[:, 0]])
        called = np.where(positive[known], np.where(scaled[known, 1] >= 0, 1, 2), 0)
        return [finding, Reading(KIND, tuple(chosen[place] for place in known), joint, called)]

    def _calibrated(self, logits: Floats) -> Floats:
        if self.calibration is None:
            return logits
        scales = np.array([self.calibration.finding_scale, self.calibration.kind_scale])
        return np.asarray(scales * logits + [self.calibration.finding_bias, self.calibration.kind_bias])


def read_logits(network: nn.Module, films: Sequence[Film], recipe: Recipe) -> Floats:
    """Logits (n, outputs)."""
    return logits_of(network, film_batches(films, recipe))


def open_subject(path: Path, device: str = "cpu") -> Subject:
    """A run's folder, or a released model's; a run of a second stage is opened with the first, from beside it.

    What it reads it reads on the device.

    Raises:
        ConfigError: it is neither, or not finished.
    """
    if (path / build.METADATA).is_file():
        return _released(path, device)
    run = Run(path)
    calibrated = run.calibrated() if run.has_calibration else None
    subject = _of(path.name, run.recipe(), run.network(device), (run,), calibrated)
    if subject.recipe.cascade is None or not isinstance(subject, ClassNetwork):
        return subject
    before = Run(path.resolve().parent / subject.recipe.cascade.first)
    if not before.finished:
        raise ConfigError(
            f"{path} is a second stage, and {before.directory} holds no finished run of the first, "
            f"{subject.recipe.cascade.first}; train that too."
        )
    first = ClassNetwork(before.directory.name, before.recipe(), before.network(device), (before,))
    return Cascade(first, subject, subject.recipe.cascade.called)


def _released(path: Path, device: str) -> Subject:
    model = manifests.load(path)
    build.verify(model)
    content = json.loads((path / build.METADATA).read_text(encoding="utf-8"))["cxr_node"]
    recipe = Recipe.model_validate(content["recipe"])
    network = network_of(recipe)
    network.load_state_dict(read_state(model.weights))
    calibrated = (model.outputs.calibration, model.points)
    return _of(f"{model.name} {model.version}", recipe, network.to(device).eval(), (), calibrated)


def _of(
    name: str,
    recipe: Recipe,
    network: FilmNetwork,
    runs: tuple[Run, ...],
    calibrated: tuple[Calibration | ClassCalibration, Cutoffs] | None,
) -> ClassNetwork | NodeNetwork:
    calibration, cutoffs = calibrated or (None, None)
    if isinstance(calibration, Calibration) or not recipe.classes:
        own = calibration if isinstance(calibration, Calibration) else None
        return NodeNetwork(name, recipe, network, runs, own, cutoffs)
    return ClassNetwork(
        name, recipe, network, runs, Scaling(calibration.scales, calibration.biases) if calibration else None
    )


def _two(calibration: Calibration) -> Scaling:
    """The finding's calibration, for the logits (0, finding)."""
    return Scaling((calibration.finding_scale,) * 2, (0.0, calibration.finding_bias))


def _log_softmax(logits: Floats) -> Floats:
    largest = logits.max(axis=1, keepdims=True)
    return np.asarray(logits - largest - np.log(np.exp(logits - largest).sum(axis=1, keepdims=True)))
