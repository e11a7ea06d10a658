"""A finished run becomes a model folder: weights, metadata, golden films, results and model card."""

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from cxr_node.domain.finding import Cutoffs
from cxr_node.errors import ConfigError
from cxr_node.inference import golden
from cxr_node.inference.agreement import RECORD
from cxr_node.inference.build import METADATA, WEIGHTS, sha256
from cxr_node.inference.calibration import Calibration, ClassCalibration
from cxr_node.inference.manifest import Manifest, load
from cxr_node.inference.predictor import Predictor
from training.about import Served
from training.preparation import PrepareRecipe
from training.recipe import Recipe

CLASSES = ("normal", "bacterial_pneumonia", "viral_pneumonia")
PNEUMONIA = Served(
    finding="pneumonia",
    task="Pneumonia on frontal chest radiographs, and bacterial against viral",
    description="Two logits: pneumonia against normal; bacterial against viral pneumonia, given pneumonia.",
    data_source="Kermany et al. 2018 (doi 10.17632/rscbjbr9sj.2), NIH ChestX-ray14 (Wang et al., CVPR 2017)",
    population="children of 1 to 5 years (Guangzhou) and adults (NIH); frontal views",
    intended_use=(
        "Ordering the reading of frontal chest radiographs and showing where the evidence lies, for research and "
        "evaluation. Not a medical device, not for diagnosis; every film is to be read by a qualified person."
    ),
    licence=(
        "Weights: Apache-2.0. Trained on Kermany et al. 2018 (CC BY 4.0) and NIH ChestX-ray14 (NIH Clinical Center, no "
        "restrictions on use), starting from ImageNet weights of EfficientNet-Lite0 (Apache-2.0)."
    ),
)
"""What is said of a model that answers the node's own question, where its recipe says nothing else."""
NETWORKS = {
    "efficientnet_lite0": "EfficientNet-Lite0",
    "efficientnet_lite2": "EfficientNet-Lite2",
    "shaded_lite0": "EfficientNet-Lite0 beside a template of coarse shade",
}
PACKAGES = ("monai", "torch", "numpy", "opencv-python-headless")


def export(
    directory: Path,
    recipe: Recipe,
    weights: Mapping[str, torch.Tensor],
    *,
    calibration: Calibration | ClassCalibration,
    points: Cutoffs,
    documents: Mapping[str, str | bytes],
) -> Manifest:
    """Write the model folder `directory` (.../<name>/<version>) anew; `documents` are texts and pictures by path.

    Raises:
        ConfigError: the folder exists and is no model, the node cannot serve the recipe's network, or the recipe does
            not say what the node is to know of it.
    """
    _refuse_what_cannot_be_served(recipe)
    if directory.exists():
        if not (directory / METADATA).is_file():
            raise ConfigError(f"{directory} exists and is no model; it is left alone.")
        shutil.rmtree(directory)
    (directory / METADATA).parent.mkdir(parents=True)
    save_file({name: _kept(value) for name, value in weights.items()}, directory / WEIGHTS)
    (directory / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone, and services run as others
    for name, content in documents.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    metadata = _metadata(directory, recipe, calibration, points)
    write_metadata(directory, metadata)
    golden.write(Predictor(load(directory), "cpu"))
    write_metadata(directory, metadata)
    return load(directory)


def _kept(value: torch.Tensor) -> torch.Tensor:
    """Kernels of convolutions in half precision: half the size, and probabilities change by less than 0.001."""
    return (value.half() if value.ndim == 4 else value).contiguous()


def _refuse_what_cannot_be_served(recipe: Recipe) -> None:
    if recipe.network not in NETWORKS or recipe.head != "linear" or recipe.front or recipe.options:
        raise ConfigError(
            f"The node serves {', '.join(NETWORKS)} with a linear head and no front, not the recipe's network."
        )
    if recipe.prepare != PrepareRecipe():
        raise ConfigError("The node prepares films in its own way; the recipe's crop or equalisation is not served.")
    if recipe.classes and recipe.served is None:
        raise ConfigError("The recipe has no [served]: it does not say which finding the node is to take from it.")


def write_metadata(directory: Path, metadata: dict[str, Any]) -> None:
    """The metadata with the digests of every other file as it is now."""
    apart = (directory / METADATA, directory / RECORD)
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path not in apart)
    digests = {path.relative_to(directory).as_posix(): sha256(path) for path in files}
    text = json.dumps({**metadata, "files": digests}, indent=2) + "\n"
    (directory / METADATA).write_text(text, encoding="utf-8")


def _metadata(
    directory: Path, recipe: Recipe, calibration: Calibration | ClassCalibration, points: Cutoffs
) -> dict[str, Any]:
    """MONAI's bundle schema, with what the node needs under `cxr_node`."""
    served = recipe.served or PNEUMONIA
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json",
        "name": directory.parent.name,
        "version": directory.name,
        "changelog": {directory.name: "first release"},
        "required_packages_version": {package: importlib.metadata.version(package) for package in PACKAGES},
        "task": served.task,
        "description": served.description,
        "authors": "the cxr_node authors",
        "copyright": served.licence,
        "intended_use": served.intended_use,
        "data_source": served.data_source,
        "data_type": "8-bit greyscale JPEG in training, DICOM CR and DX in use",
        "network_data_format": _data_format(recipe),
        "cxr_node": {
            "network": recipe.network,
            "size": recipe.size,
            **_read_as(recipe, served),
            "calibration": asdict(calibration),
            "operating_points": asdict(points),
            "family": f"Convolutional neural network ({NETWORKS[recipe.network]}) with class activation maps",
            "population": served.population,
            "restriction": served.restriction,
            "recipe": recipe.model_dump(),
        },
    }


def _read_as(recipe: Recipe, served: Served) -> dict[str, Any]:
    """What the logits mean, as `cxr_node.inference.manifest` reads it."""
    codes = {name: code.model_dump() for name, code in served.codes.items()}
    if not recipe.classes:
        return {"form": "finding_and_kind", "finding": served.finding, "classes": list(CLASSES), "codes": codes}
    known = {"form": "classes", "finding": served.finding, "classes": list(recipe.classes), "codes": codes}
    return known | {"finding_classes": list(served.finding_classes)}


def _data_format(recipe: Recipe) -> dict[str, Any]:
    side, outputs = recipe.size, recipe.outputs
    meanings = list(recipe.classes) or ["pneumonia against normal", "bacterial against viral, given pneumonia"]
    return {
        "inputs": {
            "image": {
                "type": "image",
                "format": "magnitude",
                "num_channels": 1,
                "spatial_shape": [side, side],
                "dtype": "float32",
                "value_range": [0, 1],
                "is_patch_data": False,
                "channel_def": {"0": "film, black 0 to white 1, made by cxr_node.imaging.prepare"},
            }
        },
        "outputs": {
            "pred": {
                "type": "logits",
                "format": "classification",
                "num_channels": outputs,
                "spatial_shape": [outputs],
                "dtype": "float32",
                "value_range": [],
                "is_patch_data": False,
                "channel_def": {str(place): meaning for place, meaning in enumerate(meanings)},
            }
        },
    }
