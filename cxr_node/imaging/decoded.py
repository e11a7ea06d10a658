"""A film of the spool in memory, and what is made of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cxr_node.imaging.film import Prepared, prepare, render
from cxr_node.imaging.part10 import read_film
from cxr_node.imaging.pixels import Stored, decode


@dataclass(frozen=True, slots=True)
class DecodedFilm:
    """Stored values, (rows, columns), and the data set that says what they mean."""

    pixels: Stored
    dataset: Dataset

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises as `read_film` and `decode` do."""
        dataset = read_film(path)
        return cls(decode(dataset), dataset)

    def prepare(self, side: int) -> Prepared:
        """As a network of `side` pixels sees it."""
        return prepare(self.pixels, self.dataset, side)

    def render(self, *, inverted: bool) -> NDArray[np.uint8]:
        """As people see it, at most 1,024 pixels a side; `inverted` as in `imaging.render`."""
        return render(self.pixels, self.dataset, inverted=inverted)
