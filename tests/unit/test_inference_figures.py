"""The figures beside a model's card."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cxr_node.errors import ConfigError
from cxr_node.inference import manifest
from cxr_node.inference.figures import operating
from cxr_node.inference.manifest import Manifest


def with_figures(folder: Path, text: str) -> Manifest:
    (folder / "docs").mkdir()
    (folder / "docs" / "results.json").write_text(text)
    return replace(manifest.find(None, "cxr-pneumonia"), directory=folder)


def group(sensitivity: Any, specificity: Any) -> Any:
    return {"sensitivity": {"value": sensitivity}, "specificity": {"value": specificity}}


def test_the_group_on_which_the_model_does_worst_comes_first(tmp_path: Path) -> None:
    model = with_figures(tmp_path, json.dumps({"test": {"good": group(0.9, 0.9), "bad": group(0.95, 0.6)}}))
    assert [(each.films, each.sensitivity, each.specificity) for each in operating(model)] == [
        ("bad", 0.95, 0.6), ("good", 0.9, 0.9),
    ]  # fmt: skip


def test_a_model_without_figures_is_an_error(tmp_path: Path) -> None:
    model = replace(manifest.find(None, "cxr-pneumonia"), directory=tmp_path)
    with pytest.raises(ConfigError, match=r"has no readable figures .* No such file"):
        operating(model)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"test": 3}', '{"test": {}}', '{"test": {"films": {}}}',
     json.dumps({"test": {"films": group("high", 0.5)}}), json.dumps({"test": {"films": group(92, 0.5)}})],
)  # fmt: skip
def test_figures_that_say_something_else_are_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"results\.json has no "):
        operating(with_figures(tmp_path, text))
