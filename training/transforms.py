"""MONAI dictionary transforms: films as the node prepares them, then changed at random as other hospitals would."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import cv2
import numpy as np
from monai.transforms.compose import Compose
from monai.transforms.transform import MapTransform, RandomizableTransform
from numpy.typing import NDArray

from cxr_node.errors import CxrNodeError
from cxr_node.imaging import Prepared
from training.augmentation import AugmentRecipe, JitterRecipe
from training.pictures import prepared_film
from training.preparation import PrepareRecipe
from training.recipe import Recipe

MARKER_SIDE = 0.22
NOISE = 0.02
STRUCTURES = (2.0, 24.0)
"""Sigmas in pixels between which the structures lie whose contrast is changed: from vessels to ribs and hila."""
CLIP_LIMITS = (1.0, 4.0)
KNOTS = 6
SEEDS = 2**32
"""Of random changes, from 0 on."""
TILES = (2, 9)
"""Tiles a side of adaptive equalisation, from and below."""


@contextmanager
def foreseen() -> Iterator[None]:
    """Within it a film that cannot be used is said so: MONAI hides what a transform raised behind its own error."""
    try:
        yield
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, CxrNodeError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None


class PrepareFilmd(MapTransform):
    """A `Film` becomes its picture as the network sees it: (1, size, size), float32, 0..1."""

    def __init__(self, keys: str, size: int, recipe: PrepareRecipe) -> None:
        super().__init__(keys)
        self.size = size
        self.recipe = recipe

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = prepared_film(out[key], self.size, self.recipe)[None]
        return out


class RandFilmd(RandomizableTransform, MapTransform):
    """Geometry, lettering, processing, exposure, sharpness and compression as they differ between hospitals."""

    def __init__(self, keys: str, recipe: AugmentRecipe) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.recipe = recipe

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        for key in self.key_iterator(out):
            film = self._geometry(out[key][0])
            film = self._marker(film)
            film = self._processing(film)
            film = self._exposure(film)
            out[key] = self._sharpness(film)[None]
        return out

    def _around(self, reach: float) -> float:
        return float(self.R.uniform(-reach, reach))

    def _geometry(self, film: Prepared) -> Prepared:
        side = film.shape[0]
        centre = (side - 1) / 2
        matrix = cv2.getRotationMatrix2D((centre, centre), self._around(self.recipe.rotation), 1.0)
        scale, aspect = 1 + self._around(self.recipe.scale), 1 + self._around(self.recipe.aspect)
        mirror = -1 if self.R.random() < self.recipe.flip else 1
        stretch = np.diag([mirror * scale * np.sqrt(aspect), scale / np.sqrt(aspect)])
        shift = [self._around(self.recipe.shift * side), self._around(self.recipe.shift * side)]
        linear = stretch @ matrix[:, :2]
        offset = np.array([centre, centre]) - linear @ np.array([centre, centre]) + shift
        border = cv2.BORDER_REPLICATE if self.R.random() < 0.5 else cv2.BORDER_CONSTANT
        moved = cv2.warpAffine(film, np.column_stack([linear, offset]), (side, side), borderMode=border)
        return np.asarray(moved, dtype=np.float32)

    def _marker(self, film: Prepared) -> Prepared:
        if self.R.random() >= self.recipe.marker:
            return film
        side = film.shape[0]
        height, width = (int(self.R.uniform(0.05, MARKER_SIDE) * side) for _ in range(2))
        top, left = int(self.R.randint(0, side - height)), int(self.R.randint(0, side - width))
        if self.R.random() < 0.5:
            top = int(self.R.choice([0, side - height]))
        else:
            left = int(self.R.choice([0, side - width]))
        marked = film.copy()
        marked[top : top + height, left : left + width] = self.R.random()
        return marked

    def _processing(self, film: Prepared) -> Prepared:
        """The contrast of structures of some size, as X-ray machines raise and flatten it each in its own way.

        Not drawn at all where the recipe has none, so that older recipes draw what they drew.
        """
        if not self.recipe.processed or self.R.random() >= self.recipe.processed:
            return film
        if self.R.random() < self.recipe.equalised:
            tiles = int(self.R.randint(*TILES))
            equalise = cv2.createCLAHE(float(self.R.uniform(*CLIP_LIMITS)), (tiles, tiles))
            return (equalise.apply(np.rint(film * 255).astype(np.uint8)) / np.float32(255)).astype(np.float32)
        coarse = cv2.GaussianBlur(film, (0, 0), float(np.exp(self.R.uniform(*np.log(STRUCTURES)))))
        amount = self.R.uniform(-self.recipe.local_contrast / 3, self.recipe.local_contrast)
        return np.clip(film + amount * (film - coarse), 0, 1).astype(np.float32)

    def _exposure(self, film: Prepared) -> Prepared:
        gamma, contrast = 2 ** self._around(self.recipe.gamma), 1 + self._around(self.recipe.contrast)
        middle = float(film.mean()) + self._around(self.recipe.contrast / 3)
        film = self._curve(film)
        exposed = (film**gamma - middle) * contrast + middle
        return np.asarray(np.clip(exposed, 0, 1), dtype=np.float32)

    def _curve(self, film: Prepared) -> Prepared:
        """Another look-up table: a rising curve through 0 and 1; not drawn at all where the recipe has none."""
        if not self.recipe.curve:
            return film
        slopes = np.exp(self.R.normal(0, self.recipe.curve, KNOTS))
        heights = np.concatenate([[0.0], np.cumsum(slopes) / slopes.sum()])
        return np.asarray(np.interp(film, np.linspace(0, 1, KNOTS + 1), heights), dtype=np.float32)

    def _sharpness(self, film: Prepared) -> Prepared:
        choice = self.R.random()
        if choice < 0.4:
            film = np.asarray(cv2.GaussianBlur(film, (0, 0), max(0.05, self.R.uniform(0, self.recipe.blur))))
        elif choice < 0.55:
            soft = cv2.GaussianBlur(film, (0, 0), 1.0)
            film = np.clip(film + self.R.uniform(0, 1) * (film - soft), 0, 1)
        if self.R.random() < 0.4:
            film = _compressed(film, int(self.R.randint(self.recipe.jpeg, 95)))
        noise = self.R.normal(0, self.R.uniform(0, NOISE), film.shape)
        return np.clip(film + noise, 0, 1).astype(np.float32)


def _compressed(film: Prepared, quality: int) -> Prepared:
    grey: NDArray[np.uint8] = np.rint(film * 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return (np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)) / np.float32(255)).astype(np.float32)


class RandJitterd(RandomizableTransform, MapTransform):
    """The documents' augmentation: flip, zoom about the middle, shear, brightness, contrast, each at random."""

    def __init__(self, keys: str, recipe: JitterRecipe) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.recipe = recipe

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self._exposure(self._geometry(out[key][0]))[None]
        return out

    def _geometry(self, film: Prepared) -> Prepared:
        middle = np.full(2, (film.shape[0] - 1) / 2)
        mirror = -1 if self.R.random() < self.recipe.flip else 1
        shear = np.tan(np.deg2rad(self.R.uniform(-self.recipe.shear, self.recipe.shear)))
        linear = self.R.uniform(*self.recipe.zoom) * np.array([[mirror, shear], [0, 1]])
        matrix = np.column_stack([linear, middle - linear @ middle])
        moved = cv2.warpAffine(film, matrix, film.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(moved, dtype=np.float32)

    def _exposure(self, film: Prepared) -> Prepared:
        brightness, contrast = self.R.uniform(*self.recipe.brightness), self.R.uniform(*self.recipe.contrast)
        middle = film.mean()
        exposed = ((film - middle) * contrast + middle) * brightness
        return np.asarray(np.clip(exposed, 0, 1), dtype=np.float32)


RandomChange = RandFilmd | RandJitterd


def random_changes(recipe: Recipe) -> list[RandomChange]:
    """What changes a film at random whenever it is shown."""
    changes: list[RandomChange] = []
    if recipe.augment:
        changes.append(RandFilmd("film", recipe.augment))
    if recipe.jitter:
        changes.append(RandJitterd("film", recipe.jitter))
    return changes


def changed(film: Prepared, changes: Sequence[RandomChange], seed: int) -> Prepared:
    """A film (1, size, size) after random changes that `seed`, from 0 and below 2 ** 32, alone decides."""
    for place, change in enumerate(changes):
        own = copy(change)  # draws of its own: another thread may be changing another film
        own.set_random_state((seed + place) % SEEDS)
        film = own({"film": film})["film"]
    return film


def evaluation_transforms(recipe: Recipe) -> Compose:
    """Prepared, nothing more."""
    return Compose([PrepareFilmd("film", recipe.size, recipe.prepare)])
