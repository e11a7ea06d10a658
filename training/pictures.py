"""A film of a data set as the network sees it, from a picture or a DICOM file, through the node's own imaging."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr_node.errors import ConfigError, CxrNodeError
from cxr_node.imaging import PICTURES, Prepared, decode, prepare, prepare_grey, read_picture
from cxr_node.imaging.part10 import read_film
from training.data import Film
from training.preparation import PrepareRecipe

LEVELS = 256
GREY = 0.5
LUNGS = ((0.27, 0.465), (0.73, 0.465))
"""Where the middles of the lungs usually are, right and left of the patient: shares of width and height.

The means, rounded, of the boxes about both lungs on 140 films of adults (General Blockchain's, of the COVID-19 Image
Data Collection), made alike on both sides.
"""
AXES = (0.2, 0.38)
"""Half of a lung's width and height, with a little room: shares of the film's."""


def prepared_film(film: Film, size: int, recipe: PrepareRecipe) -> Prepared:
    """The film (size, size), 0 black to 1 white, cropped and equalised as the recipe wants.

    Raises:
        ConfigError: the file is missing, damaged or no film.
    """
    try:
        shown = _prepared(film, size, recipe)
    except CxrNodeError as error:
        raise ConfigError(f"The film {film.path} cannot be used: {error.message}") from error
    return masked(equalised(shown) if recipe.equalise else shown, recipe)


def _prepared(film: Film, size: int, recipe: PrepareRecipe) -> Prepared:
    if film.path.suffix.lower() in PICTURES:
        picture = read_picture(film.path)
        return prepare_grey(picture[window(picture.shape, film, recipe)], size)
    dataset = read_film(film.path)
    stored = decode(dataset)
    return prepare(stored[window(stored.shape, film, recipe)], dataset, size)


def window(shape: tuple[int, ...], film: Film, recipe: PrepareRecipe) -> tuple[slice, slice]:
    """What is left of a picture of a film, whatever size (h, w) the picture has: all, or its middle.

    Of document 002's crop the less is left the larger the original is (equations 1 and 2).
    """
    height, width = shape
    if (crop := recipe.crop) is None:
        return _middle(height, 2 * recipe.cut_margin), _middle(width, 2 * recipe.cut_margin)
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


def masked(film: Prepared, recipe: PrepareRecipe) -> Prepared:
    """The film (size, size) with its edges made grey, or everything but the usual place of the lungs."""
    if not (recipe.blank_margin or recipe.lungs_only):
        return film
    height, width = film.shape
    kept = np.zeros(film.shape, dtype=np.uint8)
    if recipe.lungs_only:
        for across, down in LUNGS:
            axes = round(AXES[0] * width), round(AXES[1] * height)
            cv2.ellipse(kept, (round(across * width), round(down * height)), axes, 0, 0, 360, 1, cv2.FILLED)
    else:
        kept[_middle(height, 2 * recipe.blank_margin), _middle(width, 2 * recipe.blank_margin)] = 1
    return np.where(kept == 1, film, np.float32(GREY))
