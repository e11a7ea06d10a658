"""A finished run of the gate becomes a model folder: weights, metadata, golden films, results and card."""

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any

from cxr_node.domain.quality import Limits
from cxr_node.errors import ConfigError
from cxr_node.inference import golden
from cxr_node.inference.build import METADATA, WEIGHTS
from cxr_node.inference.gate import Gate
from cxr_node.inference.gate_manifest import TASK, GateManifest, load
from cxr_node.inference.gate_network import SIDE, TURNS, VIEWS
from training.export import PACKAGES, write_metadata
from training.gate.fit import GateRun

LICENCE = (
    "Weights: Apache-2.0. Heads trained on Kermany et al. 2018 (CC BY 4.0) and NIH ChestX-ray14 (NIH Clinical Center, "
    "no restrictions on use), on drawings, and on the sample pictures of scikit-image and scikit-learn, over frozen "
    "ImageNet weights of EfficientNet-Lite0 (Apache-2.0)."
)


def export(directory: Path, run: GateRun, card: str) -> GateManifest:
    """Write the model folder `directory` (.../<name>/<version>) anew; `card` is its text, with places for the figures.

    Raises:
        ConfigError: the folder exists and is no model, the run is not finished or not evaluated, or the card's
            template asks for something else.
    """
    results, limits = run.results(), run.limits()
    text = fill(card, results, limits)
    if directory.exists():
        if not (directory / METADATA).is_file():
            raise ConfigError(f"{directory} exists and is no model; it is left alone.")
        shutil.rmtree(directory)
    for folder in (METADATA.parent, Path("docs")):
        (directory / folder).mkdir(parents=True)
    shutil.copyfile(run.weights, directory / WEIGHTS)
    (directory / WEIGHTS).chmod(0o644)
    (directory / "docs" / "README.md").write_text(text, encoding="utf-8")
    (directory / "docs" / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    metadata = _metadata(directory, run)
    write_metadata(directory, metadata)
    golden.write(Gate(load(directory)))
    write_metadata(directory, metadata)
    return load(directory)


def _metadata(directory: Path, run: GateRun) -> dict[str, Any]:
    """MONAI's bundle schema, with what the node needs under `cxr_node`."""
    meanings = [*VIEWS, *(f"turned by {turn} degrees" for turn in TURNS), "inverted", "cropped", "distance"]
    image = {
        "type": "image", "format": "magnitude", "num_channels": 1, "spatial_shape": [SIDE, SIDE], "dtype": "float32",
        "value_range": [0, 1], "is_patch_data": False,
        "channel_def": {"0": "film, black 0 to white 1, made by cxr_node.imaging.prepare"},
    }  # fmt: skip
    said = {
        "type": "logits", "format": "classification", "num_channels": len(meanings), "spatial_shape": [len(meanings)],
        "dtype": "float32", "value_range": [], "is_patch_data": False,
        "channel_def": {str(place): meaning for place, meaning in enumerate(meanings)},
    }  # fmt: skip
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json",
        "name": directory.parent.name,
        "version": directory.name,
        "changelog": {directory.name: "first release"},
        "required_packages_version": {package: importlib.metadata.version(package) for package in PACKAGES},
        "task": "Whether the pixels show a frontal chest film, and in what state",
        "description": "Logits of the view, of the angle, of black for white, of a missing part; and a distance.",
        "authors": "the cxr_node authors",
        "copyright": LICENCE,
        "intended_use": (
            "Keeping films that a model of chest films is not made for away from it, and saying what is unusual about "
            "others, for research and evaluation. Not a medical device; it does not say that a film is good."
        ),
        "data_source": "Kermany et al. 2018 (doi 10.17632/rscbjbr9sj.2), NIH ChestX-ray14 (Wang et al., CVPR 2017)",
        "data_type": "8-bit greyscale JPEG in training, DICOM CR and DX in use",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": said}},
        "cxr_node": {
            "task": TASK,
            "size": SIDE,
            "limits": asdict(run.limits()),
            "restriction": "",
            "population": "children of 1 to 5 years (Guangzhou) and adults (NIH)",
            "recipe": run.recipe().model_dump(),
        },
    }


def fill(template: str, results: Mapping[str, Any], limits: Limits) -> str:
    """The card; the template may use $films, $faults, $laterals, $frontals and the name of each limit with `limit_`.

    Raises:
        ConfigError: the template asks for something else.
    """
    validated = results["cross_validation"] or {"laterals": None, "frontals": None}
    values = {"films": _films(results["films"]), "faults": _faults(results["faults"])}
    for name, found in validated.items():
        values[name] = f"{found['count']} of {found['of']}, {_percent(found)}" if found else "none tried"
    values |= {f"limit_{name}": f"{limit:.3f}" for name, limit in asdict(limits).items()}
    try:
        return Template(template).substitute(values)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"The card's template cannot be filled: {error}.") from error


def _films(groups: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            name,
            str(found["refused"]["of"]),
            f"{found['refused']['count']}: {_percent(found['refused'])}",
            f"{found['flagged']['count']}: {_percent(found['flagged'])}",
            ", ".join(f"{code} {count}" for code, count in found["named"].items()) or "nothing",
        ]
        for name, found in groups.items()
    ]
    return _table(["films", "n", "refused", "analysed and flagged", "what was said"], rows)


def _faults(faults: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [kind, found["expected"], f"{found['count']} of {found['of']}: {_percent(found)}"]
        for kind, found in faults.items()
    ]
    return _table(["made from test films", "is to become", "did"], rows)


def _percent(found: Mapping[str, float]) -> str:
    """A share and its exact interval."""
    return f"{100 * found['share']:.2f} % ({100 * found['low']:.2f} to {100 * found['high']:.2f})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    ruled = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)
