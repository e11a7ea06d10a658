"""Small models for tests: a real network with random weights, whole in every file, in either form."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from cxr_node.inference import golden
from cxr_node.inference.build import METADATA, WEIGHTS, sha256
from cxr_node.inference.manifest import Manifest, load
from cxr_node.inference.network import EfficientNetLite0
from cxr_node.inference.predictor import Predictor

SIZE = 64
COVID = {"value": "840544004", "scheme": "SCT", "meanings": {"en": "Suspected COVID-19", "es": "Sospecha de COVID-19"}}
PNEUMONIA = {"value": "233604007", "scheme": "SCT", "meanings": {"en": "Pneumonia", "es": "Neumonía"}}
TWO_LOGITS: dict[str, Any] = {
    "finding": "pneumonia",
    "classes": ["normal", "bacterial_pneumonia", "viral_pneumonia"],
    "calibration": {"finding_scale": 1, "finding_bias": 0, "kind_scale": 1, "kind_bias": 0, "prevalence": 0.5},
}
CLASSES: dict[str, Any] = {
    "form": "classes",
    "finding": "covid19",
    "classes": ["normal", "covid19", "other_pneumonia"],
    "finding_classes": ["covid19"],
    "calibration": {"scales": [1, 1, 1], "biases": [0, 0, 0], "prevalence": 0.25},
    "codes": {"covid19": COVID, "other_pneumonia": PNEUMONIA},
}


@contextmanager
def one_thread() -> Iterator[None]:
    """Small networks gain nothing from more threads, which wait for each other where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_model(models: Path, name: str, version: str = "1.0.0", *, seed: int = 1, **ours: Any) -> Manifest:
    """Write `<models>/<name>/<version>`; `ours` are further entries of its metadata under `cxr_node`.

    With `CLASSES` among them it has classes of its own, else two logits.
    """
    folder = models / name / version
    for place in ("configs", "docs"):
        (folder / place).mkdir(parents=True)
    known = {"network": "efficientnet_lite0", "size": SIZE, "family": "random weights", "population": "nobody"}
    points = {"operating_points": {"threshold": 0.5, "medium": 0.5, "high": 0.8}}
    metadata = {
        "name": name, "version": version, "intended_use": "Tests.", "copyright": "none",
        "cxr_node": known | points | TWO_LOGITS | ours,
    }  # fmt: skip
    torch.manual_seed(seed)
    outputs = len(metadata["cxr_node"]["classes"]) if metadata["cxr_node"].get("form") == "classes" else 2
    weights = {key: value.contiguous() for key, value in EfficientNetLite0(outputs).state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    (folder / "docs" / "README.md").write_text("Random weights.\n")
    _write(folder, metadata)
    golden.write(Predictor(load(folder), "cpu"), count=1)
    _write(folder, metadata)
    return load(folder)


def _write(folder: Path, metadata: dict[str, Any]) -> None:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / METADATA]
    digests = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    (folder / METADATA).write_text(json.dumps(metadata | {"files": digests}))
