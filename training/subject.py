"""What is evaluated: a run, two runs of which one passes films on to the other, or a released model.

Each answers one question or more about films (which class?), with logits and with the class that it calls.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import nn

from cxr_node.domain.finding import Cutoffs
from cxr_node.errors import ConfigError
from cxr_node.inference import manifest as manifests
from cxr_node.inference.calibration import Calibration
from cxr_node.inference.network import FilmNetwork
from training.data import BACTERIAL, PNEUMONIA, Film
from training.fit import film_batches, logits_of
from training.metrics import Floats, Ints
from training.networks.weights import read_state
from training.recipe import Recipe
from training.run import Run, network_of
from training.scaling import Scaling

NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class Question:
    """Which class is a film of? `labels` gives the place of each label's class; other labels are no matter of it."""

    name: str
    classes: tuple[str, ...]
    labels: Mapping[str, int]

    def target(self, film: Film) -> int | None:
        """The place of the film's class."""
        return self.labels.get(film.label)


FINDING = Question("finding", (NORMAL, "pneumonia"), {NORMAL: 0} | dict.fromkeys(sorted(PNEUMONIA), 1))
KIND = Question(
    "kind", (NORMAL, "bacterial", "viral"), {NORMAL: 0, "bacterial_pneumonia": 1, "viral_pneumonia": 2}
)  # fmt: skip
"""The two that the node's own networks answer."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A subject's answers to a question: logits (n, classes), whose softmax are probabilities, and what it calls (n,).

    `scaling` calibrates the logits where the subject brings a calibration of its own.
    """

    question: Question
    films: tuple[Film, ...]
    logits: Floats = field(repr=False)
    called: Ints = field(repr=False)
    scaling: Scaling | None = None

    @property
    def targets(self) -> Ints:
        """The place of each film's class (n,)."""
        return np.array([self.question.labels[film.label] for film in self.films], dtype=np.intp)

    def only(self, chosen: Sequence[int]) -> "Reading":
        """The same for some of the films, by their places."""
        films = tuple(self.films[place] for place in chosen)
        return Reading(self.question, films, self.logits[chosen], self.called[chosen], self.scaling)


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
class ClassRun:
    """A run of a recipe with classes of its own; what it calls is the likeliest."""

    run: Run
    recipe: Recipe
    network: FilmNetwork

    @property
    def name(self) -> str:
        """The folder's."""
        return self.run.directory.name

    @property
    def runs(self) -> tuple[Run, ...]:
        """Itself."""
        return (self.run,)

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
        return [Reading(self.questions[0], tuple(chosen), logits, logits.argmax(axis=1))]


@dataclass(frozen=True, slots=True)
class Cascade:
    """Two runs: what the first calls `passes` goes to the second (document 002)."""

    first: ClassRun
    second: ClassRun
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
        own = self.calibration and Scaling(self.calibration.finding_scale, (0.0, self.calibration.finding_bias))
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


def question_of(recipe: Recipe) -> Question:
    """The question that a recipe with classes asks."""
    classes = tuple(recipe.classes)
    return Question(
        "classes", classes, {label: classes.index(name) for name in classes for label in recipe.classes[name]}
    )


def concerned(question: Question, films: Iterable[Film]) -> list[Film]:
    """The films that the question concerns.

    Raises:
        ConfigError: there is none.
    """
    chosen = [film for film in films if question.target(film) is not None]
    if not chosen:
        raise ConfigError(f"There is no film of {', '.join(question.classes)}; look at labels, sources and --split.")
    return chosen


def read_logits(network: nn.Module, films: Sequence[Film], recipe: Recipe) -> Floats:
    """Logits (n, outputs)."""
    return logits_of(network, film_batches(films, recipe))


def open_subject(path: Path) -> Subject:
    """A run's folder, or a released model's; a run of a second stage is opened with the first, from beside it.

    Raises:
        ConfigError: it is neither, or not finished.
    """
    if (path / manifests.METADATA).is_file():
        return _released(path)
    run = Run(path)
    recipe = run.recipe()
    if not recipe.classes:
        kept = run.calibration() if run.calibrated else (None, None)
        return NodeNetwork(path.name, recipe, run.network(), (run,), *kept)
    subject = ClassRun(run, recipe, run.network())
    if recipe.cascade is None:
        return subject
    before = Run(path.resolve().parent / recipe.cascade.first)
    if not before.finished:
        raise ConfigError(
            f"{path} is a second stage, and {before.directory} holds no finished run of the first, "
            f"{recipe.cascade.first}; train that too."
        )
    return Cascade(ClassRun(before, before.recipe(), before.network()), subject, recipe.cascade.called)


def _released(path: Path) -> NodeNetwork:
    model = manifests.load(path)
    manifests.verify(model)
    content = json.loads((path / manifests.METADATA).read_text(encoding="utf-8"))["cxr_node"]
    recipe = Recipe.model_validate(content["recipe"])
    network = network_of(recipe)
    network.load_state_dict(read_state(model.weights))
    return NodeNetwork(f"{model.name} {model.version}", recipe, network.eval(), (), model.calibration, model.points)


def _log_softmax(logits: Floats) -> Floats:
    largest = logits.max(axis=1, keepdims=True)
    return np.asarray(logits - largest - np.log(np.exp(logits - largest).sum(axis=1, keepdims=True)))
