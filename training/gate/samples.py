"""What the gate learns from: films, what was done to them, and the answers that this makes right."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr_node.errors import ConfigError
from cxr_node.imaging import Prepared
from cxr_node.inference.gate_network import VIEWS
from training.data import Film
from training.gate import faults
from training.gate.laterals import lateral
from training.gate.pictures import sample_pictures
from training.gate.recipe import GateRecipe, SampleRecipe
from training.pictures import prepared_film
from training.preparation import PrepareRecipe
from training.transforms import RandFilmd

SIZE = 224
"""Pixels of the side at which films are changed: that of the network that is to see them after the gate."""

NOT_ASKED = -1
FRONTAL, LATERAL, OTHER, BLANK = range(len(VIEWS))


class Answers(NamedTuple):
    """What is right for a sample: a place in VIEWS, quarters that it is turned by, inverted and cropped as 0 or 1.

    `NOT_ASKED` where the question makes no sense.
    """

    view: int
    quarters: int = NOT_ASKED
    inverted: int = NOT_ASKED
    cropped: int = NOT_ASKED


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture as the node prepares it, (224, 224), 0 black to 1 white, and what is right for it."""

    kind: str
    picture: Prepared
    answers: Answers


class Maker:
    """Makes samples of films (given by source, each as `prepared_film` makes it), the same ones for the same seed.

    `changed`: sound films are first changed at random as other hospitals would, by the recipe.
    """

    def __init__(self, pools: Sequence[Sequence[Film]], recipe: GateRecipe, seed: int, *, changed: bool = True) -> None:
        if not all(pools):
            raise ConfigError(f"Each of the sources {', '.join(recipe.sources)} needs films in every split.")
        self._pools, self._random = pools, np.random.default_rng(seed)
        self._pictures = sample_pictures()
        self._change = RandFilmd("film", recipe.augment) if changed else None
        if self._change:
            self._change.set_random_state(seed)
        self._makers: Mapping[str, Callable[[Film], tuple[Prepared, Answers]]] = {
            "upright": lambda film: (self._film(film), Answers(FRONTAL, 0, 0, 0)),
            "framed": lambda film: (faults.framed(self._film(film), self._random), Answers(FRONTAL, 0, 0, 0)),
            "turned": self._turned,
            "inverted": self._inverted,
            "cropped": lambda film: (faults.cropped(self._film(film), self._random), Answers(FRONTAL, 0, 0, 1)),
            "halved": lambda film: (faults.halved(self._film(film), self._random), Answers(NOT_ASKED, 0, 0, 1)),
            "lateral": self._lateral,
            "patch": self._patch,
            "shuffled": lambda film: (faults.shuffled(self._film(film), self._random), Answers(OTHER)),
            "picture": lambda _: (self._picture(), Answers(OTHER)),
            "drawing": lambda _: (self._drawing(), Answers(OTHER)),
            "blank": lambda _: (faults.blank(SIZE, self._random), Answers(BLANK)),
        }

    def make(self, counts: SampleRecipe) -> Iterator[Sample]:
        """So many samples of each kind, the sources taking turns."""
        for kind, count in counts:
            yield from self.several(kind, count)

    def several(self, kind: str, count: int) -> Iterator[Sample]:
        """So many samples of one kind."""
        for place in range(count):
            pool = self._pools[place % len(self._pools)]
            picture, answers = self._makers[kind](pool[int(self._random.integers(len(pool)))])
            yield Sample(kind, faults.seen(picture), answers)

    def _film(self, film: Film) -> Prepared:
        prepared = prepared_film(film, SIZE, PrepareRecipe())
        return self._changed(prepared)

    def _changed(self, film: Prepared) -> Prepared:
        return film if self._change is None else np.asarray(self._change({"film": film[None]})["film"][0])

    def _often(self, share: float) -> bool:
        return bool(self._random.random() < share)

    def _turned(self, film: Film) -> tuple[Prepared, Answers]:
        quarters = int(self._random.integers(1, 4))
        return faults.turned(self._film(film), quarters), Answers(FRONTAL, quarters, 0)

    def _inverted(self, film: Film) -> tuple[Prepared, Answers]:
        quarters = int(self._random.integers(4)) if self._often(0.25) else 0
        return faults.turned(faults.inverted(self._film(film)), quarters), Answers(FRONTAL, quarters, 1)

    def _lateral(self, film: Film) -> tuple[Prepared, Answers]:
        drawn = self._changed(lateral(prepared_film(film, SIZE, PrepareRecipe()), self._random))
        if self._often(0.25):
            drawn = faults.framed(drawn, self._random)
        inverted = self._often(0.12)
        return faults.inverted(drawn) if inverted else drawn, Answers(LATERAL, inverted=int(inverted))

    def _patch(self, film: Film) -> tuple[Prepared, Answers]:
        part = faults.patch(self._film(film), self._random)
        part = faults.inverted(part) if self._often(0.3) else part
        return faults.turned(part, int(self._random.integers(4))), Answers(OTHER)

    def _picture(self) -> Prepared:
        picture = self._pictures[int(self._random.integers(len(self._pictures)))]
        part = np.ascontiguousarray(faults.window_of(picture, self._random))
        return np.asarray(cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.float32)

    def _drawing(self) -> Prepared:
        drawn = (faults.limb if self._often(0.6) else faults.shapes)(SIZE, self._random)
        return faults.inverted(drawn) if self._often(0.2) else drawn


def answers_of(samples: Sequence[Answers]) -> NDArray[np.int64]:
    """(n, 4): the answers in the order of their names."""
    return np.asarray(samples, np.int64)


def pools_of(films: Sequence[Film], recipe: GateRecipe, split: str) -> list[list[Film]]:
    """The frontal films of a split by source, whatever they show."""
    return [
        [film for film in films if film.source == source and film.split == split and film.view != "LATERAL"]
        for source in recipe.sources
    ]
