"""What goes wrong with a film before a model sees it, made from sound films; and pictures that are no films at all.

Every function takes and gives a square film or picture as the node prepares it: (size, size), 0 black to 1 white.
"""

import cv2
import numpy as np
from numpy.random import Generator

from cxr_node.imaging import Prepared, prepare_grey


def seen(film: Prepared) -> Prepared:
    """A film that was changed, as it would have come out of the node's preparation."""
    return prepare_grey(np.rint(np.clip(film, 0, 1) * 255).astype(np.uint8), film.shape[0])


def turned(film: Prepared, quarters: int) -> Prepared:
    """The film turned counter-clockwise by quarters of a circle."""
    return np.ascontiguousarray(np.rot90(film, quarters))


def inverted(film: Prepared) -> Prepared:
    """The film with black for white."""
    return 1 - film


def cropped(film: Prepared, random: Generator, least: float = 0.22, most: float = 0.4) -> Prepared:
    """The film without `least` to `most` of its height or width at one side, or of both, stretched to the square."""
    size = film.shape[0]
    top, bottom, left, right = 0, size, 0, size
    for side in random.permutation(4)[: 1 if random.random() < 0.6 else 2]:
        cut = round(size * random.uniform(least, most))
        if side == 0:
            top = cut
        elif side == 1:
            bottom = size - cut
        elif side == 2:
            left = cut
        else:
            right = size - cut
    return _stretched(film[top:bottom, left:right], size)


def halved(film: Prepared, random: Generator) -> Prepared:
    """One side of the chest, stretched to the square: one lung with the spine and the heart at its edge."""
    size = film.shape[0]
    width = round(size * random.uniform(0.45, 0.6))
    start = 0 if random.random() < 0.5 else size - width
    return _stretched(film[:, start : start + width], size)


def framed(film: Prepared, random: Generator) -> Prepared:
    """The film as a part of a larger one: a page, a wide detector; with boxes over what was written beside it."""
    size = film.shape[0]
    height, width = (size if random.random() < 0.35 else round(size * random.uniform(0.35, 1)) for _ in range(2))
    ground = (0.0, 1.0, random.random())[int(random.integers(3))]
    page = np.full((size, size), ground, np.float32)
    top, left = int(random.integers(size - height + 1)), int(random.integers(size - width + 1))
    page[top : top + height, left : left + width] = cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA)
    for _ in range(int(random.integers(3))):
        high, wide = round(size * random.uniform(0.03, 0.12)), round(size * random.uniform(0.05, 0.4))
        top, left = int(random.integers(size - high)), int(random.integers(size - wide))
        page[top : top + high, left : left + wide] = float(random.random() < 0.7)
    return page


def patch(film: Prepared, random: Generator) -> Prepared:
    """A small part of the film, as large as the square: what a shoulder, an abdomen or a limb looks like close by."""
    size = film.shape[0]
    height, width = (round(size * random.uniform(0.14, 0.36)) for _ in range(2))
    top, left = int(random.integers(size - height)), int(random.integers(size - width))
    return _stretched(film[top : top + height, left : left + width], size)


def shuffled(film: Prepared, random: Generator) -> Prepared:
    """The film cut into tiles that are put together anew: bones and lungs, and no chest."""
    count = int(random.integers(2, 5))
    side = film.shape[0] // count
    tiles = [film[r * side : (r + 1) * side, c * side : (c + 1) * side] for r in range(count) for c in range(count)]
    order = random.permutation(len(tiles))
    while count == 2 and np.array_equal(order, np.arange(4)):
        order = random.permutation(len(tiles))
    tiles = [turned(tiles[place], int(random.integers(4))) for place in order]
    rows = [np.hstack(tiles[row * count : (row + 1) * count]) for row in range(count)]
    return _stretched(np.vstack(rows), film.shape[0])


def blank(size: int, random: Generator) -> Prepared:
    """An exposure of nothing: an even field, or one that falls off, with the noise of the detector and dead lines."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    angle, slope, bow = random.uniform(0, 2 * np.pi), random.uniform(0, 0.3), random.uniform(-0.5, 0.5)
    reach = random.choice([0.0, 1.0])
    field = 0.5 + reach * (slope * (np.cos(angle) * rows + np.sin(angle) * columns) + bow * (rows**2 + columns**2))
    noise = random.normal(0, 1, (size, size)).astype(np.float32)
    if random.random() < 0.5:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), random.uniform(0.3, 1.5)), np.float32)
    field += noise / noise.std() * random.choice([0.002, 0.01, 0.05])
    for _ in range(int(random.integers(3))):
        line = int(random.integers(size))
        field[:, line : line + 1] += random.normal(0, 0.05)
    if random.random() < 0.25:  # the edge of a collimator
        edge = round(size * random.uniform(0.03, 0.2))
        field[:edge] = field.min() if random.random() < 0.5 else field.max()
    low, high = float(field.min()), float(field.max())
    return np.asarray((field - low) / max(high - low, 1e-6), dtype=np.float32)


def limb(size: int, random: Generator) -> Prepared:
    """A drawing of a limb or a joint: soft tissue on a dark ground, one or two bones with bright edges."""
    film = np.full((size, size), random.uniform(0, 0.15), np.float32)
    lean, middle = random.uniform(-0.25, 0.25), random.uniform(0.35, 0.65)
    tissue, bones = random.uniform(0.2, 0.45), int(random.integers(1, 4))
    _strip(film, middle, random.uniform(0.2, 0.45), lean, tissue)
    for bone in range(bones):
        place = middle + (bone - (bones - 1) / 2) * random.uniform(0.1, 0.2)
        width = random.uniform(0.04, 0.12)
        _strip(film, place, width, lean, random.uniform(0.75, 1.0))
        _strip(film, place, width * random.uniform(0.3, 0.7), lean, random.uniform(0.5, 0.75))
    if random.random() < 0.7:  # the ends of bones at a joint
        row = random.uniform(0.2, 0.8) * size
        for _ in range(int(random.integers(1, 4))):
            centre = (int(size * (middle + random.uniform(-0.12, 0.12))), int(row + size * random.uniform(-0.08, 0.08)))
            axes = (int(size * random.uniform(0.05, 0.14)), int(size * random.uniform(0.03, 0.1)))
            cv2.ellipse(film, centre, axes, random.uniform(0, 180), 0, 360, float(random.uniform(0.6, 1.0)), -1)
    soft = cv2.GaussianBlur(film, (0, 0), random.uniform(0.6, 3.0) * size / 224)
    drawn = soft + random.normal(0, random.uniform(0.002, 0.03), soft.shape)
    return np.clip(turned(drawn.astype(np.float32), int(random.integers(4))), 0, 1)


def shapes(size: int, random: Generator) -> Prepared:
    """Boxes, discs, lines, letters and gratings at random: what no X-ray machine makes on purpose."""
    drawn = np.full((size, size), int(random.integers(256)), np.uint8)
    for _ in range(int(random.integers(1, 9))):
        place, other = (tuple(int(each) for each in random.integers(0, size, 2)) for _ in range(2))
        level, kind = int(random.integers(256)), int(random.integers(4))
        if kind == 0:
            cv2.rectangle(drawn, place, other, level, -1)
        elif kind == 1:
            cv2.circle(drawn, place, int(random.uniform(0.05, 0.4) * size), level, -1)
        elif kind == 2:
            cv2.line(drawn, place, other, level, int(random.integers(1, 12)))
        else:
            cv2.putText(drawn, "".join(map(chr, random.integers(65, 91, 5))), place, 0, 1.0, level, 2)
    film = cv2.GaussianBlur(drawn.astype(np.float32) / 255, (0, 0), random.uniform(0.1, 6.0))
    if random.random() < 0.3:
        rows, columns = np.mgrid[0:size, 0:size] / size
        film += np.sin(rows * random.uniform(-60, 60) + columns * random.uniform(-60, 60)).astype(np.float32) / 2
    return np.clip(film, 0, 1)


def window_of(picture: Prepared, random: Generator) -> Prepared:
    """A part of a picture of any shape, (size, size) of its shorter side or less, in any position, black or white."""
    height, width = picture.shape
    side = round(min(height, width) * random.uniform(0.35, 1.0))
    top, left = int(random.integers(height - side + 1)), int(random.integers(width - side + 1))
    part = picture[top : top + side, left : left + side]
    part = part[:, ::-1] if random.random() < 0.5 else part
    part = 1 - part if random.random() < 0.3 else part
    return turned(part, int(random.integers(4)) if random.random() < 0.5 else 0)


def _strip(film: Prepared, place: float, width: float, lean: float, level: float) -> None:
    """A strip from top to bottom, `width` of the side wide, its middle at `place` and leaning by `lean`."""
    size = film.shape[0]
    ends = [
        (place + offset + side * width / 2) * size for offset, side in ((-lean, -1), (-lean, 1), (lean, 1), (lean, -1))
    ]
    corners = np.array([[ends[0], 0], [ends[1], 0], [ends[2], size], [ends[3], size]], np.int32)
    cv2.fillPoly(film, [corners], level)


def _stretched(part: Prepared, size: int) -> Prepared:
    return np.asarray(cv2.resize(np.ascontiguousarray(part), (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
