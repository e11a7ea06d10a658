"""MONAI dictionary transforms: films as the node prepares them, then changed at random as other hospitals would."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from monai.transforms.compose import Compose
from monai.transforms.transform import MapTransform, RandomizableTransform
from numpy.typing import NDArray

from cxr_node.imaging import PICTURES, Prepared, decode, prepare, prepare_grey, read_picture
from cxr_node.imaging.part10 import read_film
from training.data import Film
from training.recipe import AugmentRecipe

MARKER_SIDE = 0.22
NOISE = 0.02


def as_item(film: Film) -> dict[Hashable, Any]:
    """What the transforms start from."""
    return {"film": film.path, "pneumonia": np.float32(film.pneumonia), "bacterial": np.float32(film.bacterial)}


def prepare_file(path: Path, size: int) -> Prepared:
    """A film in a file as the network sees it: an 8-bit picture, or a DICOM film that a node exported."""
    if path.suffix.lower() in PICTURES:
        return prepare_grey(read_picture(path), size)
    film = read_film(path)
    return prepare(decode(film), film, size)


class PrepareFilmd(MapTransform):
    """A path becomes the film as the network sees it: (1, size, size), float32, 0..1."""

    def __init__(self, keys: str, size: int) -> None:
        super().__init__(keys)
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = prepare_file(out[key], self.size)[None]
        return out


class RandFilmd(RandomizableTransform, MapTransform):
    """Geometry, exposure, sharpness, compression and lettering as they differ between hospitals."""

    def __init__(self, keys: str, recipe: AugmentRecipe) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.recipe = recipe

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        for key in self.key_iterator(out):
            film = self._geometry(out[key][0])
            film = self._marker(film)
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

    def _exposure(self, film: Prepared) -> Prepared:
        gamma, contrast = 2 ** self._around(self.recipe.gamma), 1 + self._around(self.recipe.contrast)
        middle = float(film.mean()) + self._around(self.recipe.contrast / 3)
        exposed = (film**gamma - middle) * contrast + middle
        return np.asarray(np.clip(exposed, 0, 1), dtype=np.float32)

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


def training_transforms(size: int, augment: AugmentRecipe) -> Compose:
    """Prepared (and cached) once, changed anew every time."""
    return Compose([PrepareFilmd("film", size), RandFilmd("film", augment)])


def evaluation_transforms(size: int) -> Compose:
    """Prepared, nothing more."""
    return Compose([PrepareFilmd("film", size)])
