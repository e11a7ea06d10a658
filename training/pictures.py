"""A film of a data set as the network sees it, from a picture or a DICOM file, through the node's own imaging."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr_node.errors import ConfigError, CxrNodeError
from cxr_node.imaging import PICTURES, Prepared, decode, prepare, prepare_grey, read_picture
from cxr_node.imaging.part10 import read_film
from training.data import Film
from training.recipe import Crop, PrepareRecipe

LEVELS = 256


def prepared_film(film: Film, size: int, recipe: PrepareRecipe) -> Prepared:
    """The film (size, size), 0 black to 1 white, cropped and equalised as the recipe wants.

    Raises:
        ConfigError: the file is missing, damaged or no film.
    """
    try:
        shown = _prepared(film, size, recipe.crop)
    except CxrNodeError as error:
        raise ConfigError(f"The film {film.path} cannot be used: {error.message}") from error
    return equalised(shown) if recipe.equalise else shown


def _prepared(film: Film, size: int, crop: Crop | None) -> Prepared:
    if film.path.suffix.lower() in PICTURES:
        picture = read_picture(film.path)
        return prepare_grey(picture[window(picture.shape, film, crop)], size)
    dataset = read_film(film.path)
    stored = decode(dataset)
    return prepare(stored[window(stored.shape, film, crop)], dataset, size)


def window(shape: tuple[int, ...], film: Film, crop: Crop | None) -> tuple[slice, slice]:
    """What the crop leaves of a picture of a film, whatever size (h, w) the picture has.

    It is about the middle; the larger the original the less is left (document 002, equations 1 and 2).
    """
    height, width = shape
    if crop is None:
        return slice(height), slice(width)
    native = film.native or crop.usual or (width, height)
    return _middle(height, crop.height * native[1] / crop.highest), _middle(width, crop.width * native[0] / crop.widest)


def _middle(side: int, cut: float) -> slice:
    kept = max(1, round(side * max(0.0, 1 - cut)))
    start = (side - kept) // 2
    return slice(start, start + kept)


def equalised(film: Prepared) -> Prepared:
    """The film with its histogram equalised: each of 256 grey levels becomes the share of pixels at or below it."""
    levels: NDArray[np.uint8] = np.rint(film * (LEVELS - 1)).astype(np.uint8)
    counts = cv2.calcHist([levels], [0], None, [LEVELS], [0, LEVELS]).ravel()
    shares = np.cumsum(counts) / counts.sum()
    return np.asarray(shares[levels], dtype=np.float32)
