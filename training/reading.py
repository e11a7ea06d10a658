"""What is asked of films, and what was answered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cxr_node.errors import ConfigError
from training.data import PNEUMONIA, Film
from training.metrics import Floats, Ints
from training.recipe import Recipe
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
