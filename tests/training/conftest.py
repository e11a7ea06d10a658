"""What every test of the training package shares."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from cxr_node.inference import golden
from tests.models import one_thread
from tests.training.runs import small_recipe
from training.data import Film, write_manifest
from training.fit import fit
from training.run import Run

LABELS = ("normal", "bacterial_pneumonia", "viral_pneumonia")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Film]:
    """Generated films of three labels with an opacity high, in the middle or low, and some of another hospital."""
    folder = tmp_path_factory.mktemp("films")
    found = []
    for number in range(72):
        label = number % 3
        path = folder / f"{number}.png"
        picture = golden.phantom(0, 64) // 2
        picture[4 + 20 * label : 20 + 20 * label, 16:48] = 255
        cv2.imwrite(str(path), picture)
        split = ("train", "train", "val", "test")[number // 3 % 4]
        source, view = ("kermany", "AP") if number < 54 else ("nih_chestxray14", "PA")
        found.append(
            Film(path, source, f"p{number}", LABELS[label], view, split, age=("adult", "paediatric")[number // 12 % 2])
        )
    write_manifest(found, folder / "manifest.csv")
    return found


@pytest.fixture(scope="session")
def runs(films: list[Film], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs: three classes with two seeds, and the two stages of document 002."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("000-cnn", "002-vgg16-finding", "002-vgg16-kind"):
        fit(small_recipe(name), films, Run(folder / name), name=name)
    fit(small_recipe("000-cnn", seed=5), films, Run(folder / "000-cnn-seed"), name="000-cnn")
    return folder
