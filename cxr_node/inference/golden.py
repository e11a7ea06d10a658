"""Generated films with the outputs that a model gave for them when it was released.

Digests say that the files are the released ones; these say that this machine computes with them what was computed then.
"""

import json
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr_node.errors import Permanent
from cxr_node.imaging import prepare_grey, read_picture
from cxr_node.inference.build import Build
from cxr_node.message import Message

EXPECTED = Path("golden", "expected.json")
TOLERANCE = 1e-3
"""Largest difference of a logit that other processors and thread counts are allowed."""


class Judge(Protocol):
    """A model that is loaded, whatever it is for."""

    @property
    def manifest(self) -> Build: ...

    def probe(self, batch: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Logits (n, outputs) that every weight has a part in."""
        ...


def phantom(index: int, size: int) -> NDArray[np.uint8]:
    """A drawing with the coarse layout of a chest film, (size, size), grey 0..255; each index has its own opacities."""
    random = np.random.default_rng(index)
    film = np.full((size, size), 190.0, np.float32)
    for side in (0.3, 0.7):
        centre = (int(size * side), int(size * random.uniform(0.45, 0.5)))
        axes = (int(size * random.uniform(0.13, 0.16)), int(size * random.uniform(0.28, 0.34)))
        cv2.ellipse(film, centre, axes, 0, 0, 360, 60.0, -1)
    for _ in range(index):
        centre = (int(size * random.choice([0.3, 0.7])), int(size * random.uniform(0.35, 0.7)))
        cv2.circle(film, centre, int(size * random.uniform(0.04, 0.1)), 150.0, -1)
    blurred = cv2.GaussianBlur(film, (0, 0), size / 50)
    return np.clip(blurred + random.normal(0, 2, film.shape), 0, 255).astype(np.uint8)


def write(predictor: Judge, count: int = 4) -> None:
    """Draw `count` films into the model's folder and keep what the predictor says of them."""
    folder = predictor.manifest.directory / EXPECTED.parent
    folder.mkdir(exist_ok=True)
    names = [f"film-{index}.png" for index in range(count)]
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / name), phantom(index, predictor.manifest.size))
    logits = _logits(predictor, folder, names)
    expected = {name: [float(each) for each in row] for name, row in zip(names, logits, strict=True)}
    (predictor.manifest.directory / EXPECTED).write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")


def check(predictor: Judge) -> float:
    """The largest difference between a logit now and at release.

    Raises:
        Permanent: MODEL_GOLDEN: it is more than the tolerance; MODEL_DIGEST: the expectations are missing or no JSON.
    """
    manifest = predictor.manifest
    try:
        expected = json.loads((manifest.directory / EXPECTED).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        name = manifest.name
        why = Message("{file} of the model {name} cannot be read: {error}.", file=EXPECTED, name=name, error=error)
        raise Permanent("MODEL_DIGEST", why) from error
    logits = _logits(predictor, manifest.directory / EXPECTED.parent, list(expected))
    difference = float(np.abs(logits - np.asarray(list(expected.values()))).max())
    if difference > TOLERANCE:
        raise Permanent(
            "MODEL_GOLDEN",
            Message(
                "The model {name} {version} computes other results here than at release: a logit differs by "
                "{difference:.2g}, more than {tolerance:g}.",
                name=manifest.name,
                version=manifest.version,
                difference=difference,
                tolerance=TOLERANCE,
            ),
        )
    return difference


def _logits(predictor: Judge, folder: Path, names: list[str]) -> NDArray[np.float32]:
    size = predictor.manifest.size
    films = np.stack([prepare_grey(read_picture(folder / name), size) for name in names])
    return predictor.probe(films)
