"""A site's calibration: a file that is checked, and a model that is read by it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_node.domain.finding import Cutoffs
from cxr_node.errors import ConfigError
from cxr_node.inference import site
from cxr_node.inference.calibration import logit, shift, sigmoid
from cxr_node.inference.manifest import Manifest
from cxr_node.inference.predictor import Prediction, analyse
from cxr_node.inference.site import SiteCalibration
from tests.models import CLASSES, small_model

LOGITS = [0.4, 1.1, -0.6]


def made(model: Manifest, **changes: Any) -> SiteCalibration:
    known: dict[str, Any] = {
        "model": model.name, "version": model.version, "digest": model.digest, "finding": model.finding,
        "method": "labels", "made_at": "2026-01-01T12:00:00.000Z", "studies": 300, "scale": 0.5, "bias": -0.7,
        "prevalence": 0.1, "interval": (-0.9, -0.5), "threshold": 0.2, "high": 0.6,
    }  # fmt: skip
    return SiteCalibration(**(known | changes))


@pytest.fixture(scope="module", params=["two logits", "classes"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """A model of either form."""
    form = CLASSES if request.param == "classes" else {}
    return small_model(tmp_path_factory.mktemp("models"), "cxr-a", **form)


def test_a_file_is_read_as_it_was_written(model: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    for written in (made(model), made(model, method="prevalence", threshold=None, high=None)):
        path.write_text(written.text())
        found, digest = site.load(path)
        assert found == written
        assert len(digest) == 64


def test_the_finding_is_calibrated_and_proportions_beside_it_stay(model: Manifest) -> None:
    logits = LOGITS[: model.outputs.count]
    at_site = site.recalibrated(model, made(model), "d" * 64)
    released, classes = model.outputs.read(logits)
    finding, moved = at_site.outputs.read(logits)
    assert finding == pytest.approx(sigmoid(0.5 * logit(released) - 0.7))
    assert sum(moved.values()) == pytest.approx(1)
    inside = model.outputs.finding_classes
    assert sum(moved[name] for name in inside) == pytest.approx(finding)
    for group in (inside, [name for name in model.classes if name not in inside]):
        before, after = ([shares[name] for name in group] for shares in (classes, moved))
        assert np.allclose(np.array(after) / sum(after), np.array(before) / sum(before))
    assert at_site.outputs.read(logits, 0.3)[0] == pytest.approx(shift(finding, 0.1, 0.3))


def test_the_sites_points_go_before_the_models_and_move_with_a_prevalence(model: Manifest) -> None:
    at_site = site.recalibrated(model, made(model), "d" * 64)
    assert at_site.cutoffs() == Cutoffs(0.2, 0.2, 0.6)
    assert at_site.cutoffs(0.3).threshold == pytest.approx(shift(0.2, 0.1, 0.3))
    assert at_site.cutoffs(threshold=0.4).threshold == 0.4


@pytest.mark.parametrize("logit_", [-3.0, -0.1, 0.1, 2.0])
def test_without_points_of_its_own_it_changes_no_decision(model: Manifest, logit_: float) -> None:
    unlabelled = made(model, method="prevalence", scale=1.0, threshold=None, high=None)
    at_site, logits = site.recalibrated(model, unlabelled, "d" * 64), [0.0, logit_, 0.0][: model.outputs.count]
    if model.outputs.count == 2:
        logits = [logit_, 0.0]
    assert at_site.cutoffs().tier(at_site.outputs.read(logits)[0]) == model.cutoffs().tier(
        model.outputs.read(logits)[0]
    )


def test_an_analysis_says_by_which_file_it_was_read(model: Manifest) -> None:
    maps = np.zeros((model.outputs.count, 2, 2), np.float32)
    prediction = Prediction(maps.mean(axis=(1, 2)), maps)
    assert analyse(model, prediction).calibration == ""
    found = analyse(site.recalibrated(model, made(model), "d" * 64), prediction)
    assert (found.calibration, found.model) == ("d" * 64, model.identity)
    assert found.activation == analyse(model, prediction).activation


def test_a_calibration_of_another_build_is_refused(model: Manifest) -> None:
    with pytest.raises(ConfigError, match=r"is for cxr-a 1\.0\.0, and not for this build"):
        site.recalibrated(model, made(model, digest="e" * 64), "d" * 64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("scale = 0.5", "scale = -1"), "scale: Input should be greater than 0"),
        (lambda text: text.replace("scale = 0.5", "scale = inf"), "scale: Input should be a finite number"),
        (lambda text: text.replace("high = 0.6\n", ""), "threshold and high belong together"),
        (lambda text: text.replace("high = 0.6", "high = 0.1"), "high must not be below threshold"),
        (lambda text: text + "extra = 1\n", "extra: Extra inputs are not permitted"),
        (lambda text: text.replace("bias", "bais"), "bias: Field required; bais: Extra inputs"),
        (lambda text: text + "[", "is not valid TOML"),
    ],
)
def test_a_file_that_is_not_understood_is_refused(model: Manifest, tmp_path: Path, change: Any, said: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(change(made(model).text()))
    with pytest.raises(ConfigError, match=said):
        site.load(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.calibration: cannot read .*No such file"):
        site.load(tmp_path / "none.toml")
