"""Where lungs and findings lie in films, from the annotations that people have: COCO boxes, masks, a CSV of boxes.

A folder may hold `*_lung_boxes.json` (COCO; `path` or `file_name` names the film), `*_lung_masks/` (PNG named as the
film with `_mask` added) and `*_boxes_*px.csv` (path, finding, x, y, w, h in pixels of a square original of so many
pixels). The boxes of a manifest are of findings too. Every region is squashed and cropped as the film is.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr_node.errors import ConfigError
from training.data import Film
from training.pictures import window
from training.preparation import PrepareRecipe

Region = NDArray[np.bool_]
Kind = Literal["lungs", "finding"]

LUNG_FINDINGS = {"Pneumonia", "Infiltrate", "Infiltration", "Consolidation"}
"""What of a CSV of boxes is a finding that a model of pneumonia should look at."""
GRID = 1024
"""The side in pixels on which boxes are drawn before they are squashed."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """Boxes (left, top, width, height as shares of the film) by kind and by the film's file name without its ending.

    `masks` are files by the same name.
    """

    boxes: Mapping[tuple[Kind, str], list[tuple[float, ...]]] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)

    def region(self, film: Film, kind: Kind, size: int, recipe: PrepareRecipe) -> Region | None:
        """Where in the prepared film (size, size) the lungs or findings are; None where nobody has said."""
        name = film.path.stem
        if kind == "lungs" and name in self.masks:
            drawn = cv2.imread(str(self.masks[name]), cv2.IMREAD_GRAYSCALE)
            if drawn is None:
                raise ConfigError(f"The mask {self.masks[name]} cannot be read as a picture.")
        else:
            boxes = list(self.boxes.get((kind, name), []))
            if kind == "finding" and film.native:
                boxes += [
                    tuple(each / side for each, side in zip(box, film.native * 2, strict=True)) for box in film.boxes
                ]
            if not boxes:
                return None
            drawn = _drawn(boxes)
        kept = drawn[window(drawn.shape, film, recipe)]
        shrunk = cv2.resize((kept > 0).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        return np.asarray(shrunk > 0.5)


def read_annotations(folder: Path) -> Annotations:
    """What a folder says.

    Raises:
        ConfigError: it says nothing, or a file in it is not understood.
    """
    boxes: dict[tuple[Kind, str], list[tuple[float, ...]]] = {}
    masks = {path.stem.removesuffix("_mask"): path for path in sorted(folder.glob("*_lung_masks/*_mask.png"))}
    for path in [*sorted(folder.glob("*_lung_boxes.json")), *sorted(folder.glob("*_boxes_*px.csv"))]:
        try:
            found = _coco(path) if path.suffix == ".json" else _csv(path)
            for key, box in found:
                boxes.setdefault(key, []).append(box)
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise ConfigError(f"The annotations {path} are not understood: {error!r}.") from error
    if not boxes and not masks:
        raise ConfigError(f"{folder} holds no annotations: no *_lung_boxes.json, *_lung_masks or *_boxes_*px.csv.")
    return Annotations(boxes, masks)


def _coco(path: Path) -> Iterator[tuple[tuple[Kind, str], tuple[float, ...]]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    images = {image["id"]: image for image in content["images"]}
    for each in content["annotations"]:
        image = images[each["image_id"]]
        if None in each["bbox"]:
            continue  # the annotator saw the film and drew nothing
        sides = (float(image["width"]), float(image["height"])) * 2
        name = Path(image.get("path") or image["file_name"]).stem
        yield ("lungs", name), tuple(float(value) / side for value, side in zip(each["bbox"], sides, strict=True))


def _csv(path: Path) -> Iterator[tuple[tuple[Kind, str], tuple[float, ...]]]:
    sides = re.search(r"_(\d+)px$", path.stem)
    if sides is None:
        raise ValueError("the name does not say how many pixels the original has")
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["finding"] in LUNG_FINDINGS:
                box = tuple(float(row[column]) / float(sides[1]) for column in ("x", "y", "w", "h"))
                yield ("finding", Path(row["path"]).stem), box


def _drawn(boxes: list[tuple[float, ...]]) -> NDArray[np.uint8]:
    grid = np.zeros((GRID, GRID), dtype=np.uint8)
    for left, top, width, height in boxes:
        rows = slice(round(top * GRID), max(round(top * GRID) + 1, round((top + height) * GRID)))
        grid[rows, round(left * GRID) : max(round(left * GRID) + 1, round((left + width) * GRID))] = 255
    return grid
