"""The arithmetic between logits and probabilities, and between a site's prevalence and the model's."""

import math
import subprocess
import sys

import pytest

from cxr_node.domain.finding import Cutoffs, Tier
from cxr_node.inference import manifest
from cxr_node.inference.calibration import (
    Calibration,
    class_probabilities,
    logit,
    probabilities,
    shift,
    sigmoid,
)

PLAIN = Calibration(1, 0, 1, 0, 0.5)


@pytest.mark.parametrize("value", [-1000.0, -3.0, 0.0, 2.5, 1000.0])
def test_sigmoid_never_overflows(value: float) -> None:
    assert sigmoid(value) == pytest.approx(0.5 + 0.5 * math.tanh(value / 2))


@pytest.mark.parametrize("probability", [0.0, 1e-6, 0.3, 0.5, 1.0])
def test_logit_undoes_sigmoid(probability: float) -> None:
    assert sigmoid(logit(probability)) == pytest.approx(probability, abs=2e-9)


def test_scale_and_bias() -> None:
    calibrated = Calibration(2.0, -1.0, 0.5, 0.25, 0.5)
    finding, kind = probabilities([1.5, -2.0], calibrated)
    assert finding == pytest.approx(sigmoid(2.0))
    assert kind == pytest.approx(sigmoid(-0.75))


def test_shift_is_bayes_rule() -> None:
    likelihood_ratio = 3.0
    trained = 0.5 * likelihood_ratio / (0.5 * likelihood_ratio + 0.5)
    site = 0.1 * likelihood_ratio / (0.1 * likelihood_ratio + 0.9)
    assert shift(trained, 0.5, 0.1) == pytest.approx(site)
    assert shift(trained, 0.5, None) == trained


def test_the_prevalence_moves_the_finding_only() -> None:
    at_half, at_tenth = probabilities([1.0, 1.0], PLAIN), probabilities([1.0, 1.0], PLAIN, 0.1)
    assert at_tenth[0] < at_half[0]
    assert at_tenth[1] == at_half[1]


@pytest.mark.parametrize("finding", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("kind", [0.0, 0.7, 1.0])
def test_classes_sum_to_one(finding: float, kind: float) -> None:
    found = class_probabilities(("normal", "bacterial", "viral"), finding, kind)
    assert sum(found.values()) == pytest.approx(1)
    assert found["normal"] == pytest.approx(1 - finding)


@pytest.mark.parametrize("logit_", [-2.0, -0.3, 0.4, 1.7, 4.0])
@pytest.mark.parametrize("prevalence", [None, 0.02, 0.3, 0.9])
def test_stating_a_prevalence_changes_no_decision(logit_: float, prevalence: float | None) -> None:
    model = manifest.find(None, "cxr-pneumonia")
    here = probabilities([logit_, 0.0], model.calibration, prevalence)[0]
    anywhere = probabilities([logit_, 0.0], model.calibration)[0]
    assert model.cutoffs(prevalence).tier(here) == model.cutoffs().tier(anywhere)


def test_what_a_site_states_is_used_as_it_is() -> None:
    model = manifest.find(None, "cxr-pneumonia")
    assert model.cutoffs(0.1, 0.4, 0.5, 0.6) == Cutoffs(0.4, 0.5, 0.6)


def test_a_positive_film_is_at_least_medium() -> None:
    model = manifest.find(None, "cxr-pneumonia")
    assert model.cutoffs(threshold=0.01).tier(0.011) is Tier.MEDIUM


def test_manifest_and_calibration_are_free_of_torch() -> None:
    code = "import sys, cxr_node.inference.manifest, cxr_node.inference.calibration; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
