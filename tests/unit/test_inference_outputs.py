"""A model with classes of its own: from its metadata to what the node stores and shows."""

import json
from pathlib import Path

import numpy as np
import pytest

from cxr_node.domain.finding import Tier
from cxr_node.errors import ConfigError, Permanent
from cxr_node.inference import golden, manifest
from cxr_node.inference.build import METADATA
from cxr_node.inference.calibration import Calibration, ClassCalibration, shift, softmax
from cxr_node.inference.outputs import Classes, FindingAndKind
from cxr_node.inference.predictor import Prediction, Predictor, analyse
from tests.models import CLASSES, SIZE, small_model

NAMES = ("normal", "covid19", "other_pneumonia")
PLAIN = ClassCalibration((1, 1, 1), (0, 0, 0), 0.25)
LOGITS = [0.3, 1.2, -0.7]


def test_without_a_prevalence_it_is_the_softmax() -> None:
    finding, classes = Classes(NAMES, ("covid19",), PLAIN).read(LOGITS)
    assert list(classes.values()) == pytest.approx(softmax(LOGITS))
    assert finding == pytest.approx(classes["covid19"])


def test_a_finding_of_several_classes_is_their_sum_and_divides_into_them() -> None:
    outputs = Classes(NAMES, ("covid19", "other_pneumonia"), PLAIN)
    finding, classes = outputs.read(LOGITS)
    assert finding == pytest.approx(1 - softmax(LOGITS)[0])
    assert outputs.kinds == ("covid19", "other_pneumonia")
    assert Classes(NAMES, ("covid19",), PLAIN).kinds == ()
    assert sum(classes.values()) == pytest.approx(1)


def test_scales_and_biases_come_before_the_softmax() -> None:
    calibrated = Classes(NAMES, ("covid19",), ClassCalibration((0.5, 0.5, 2.0), (0.1, -0.2, 0.0), 0.25))
    assert list(calibrated.read(LOGITS)[1].values()) == pytest.approx(softmax([0.25, 0.4, -1.4]))


@pytest.mark.parametrize("prevalence", [0.01, 0.25, 0.9])
def test_a_prevalence_moves_the_finding_and_keeps_the_proportions_beside_it(prevalence: float) -> None:
    outputs = Classes(NAMES, ("covid19",), PLAIN)
    (before, classes), (finding, moved) = outputs.read(LOGITS), outputs.read(LOGITS, prevalence)
    assert finding == pytest.approx(shift(before, 0.25, prevalence))
    assert sum(moved.values()) == pytest.approx(1)
    assert moved["normal"] / moved["other_pneumonia"] == pytest.approx(classes["normal"] / classes["other_pneumonia"])


@pytest.mark.parametrize("logit", [-2000.0, 2000.0])
def test_extreme_logits_do_not_overflow(logit: float) -> None:
    finding, classes = Classes(NAMES, ("covid19",), PLAIN).read([0.0, logit, -logit])
    assert finding == pytest.approx(float(logit > 0), abs=1e-9)
    assert sum(classes.values()) == pytest.approx(1)


def test_two_classes_are_a_logistic_regression_with_its_evidence() -> None:
    outputs = Classes(("normal", "covid19"), ("covid19",), ClassCalibration((2, 2), (0.5, -0.5), 0.5))
    maps = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
    logits = [float(each) for each in maps.mean(axis=(1, 2))]
    finding, _ = outputs.read(logits)
    evidence = outputs.evidence(maps, logits, closed_form=True)
    assert float(evidence.mean()) == pytest.approx(np.log(finding / (1 - finding)), abs=1e-5)
    assert np.allclose(outputs.evidence(maps, logits, closed_form=False), evidence + 1.0, atol=1e-5)


def test_the_evidence_is_the_gradient_of_the_log_odds() -> None:
    outputs = Classes(NAMES, ("covid19", "other_pneumonia"), ClassCalibration((0.5, 1.0, 2.0), (0, 0, 0), 0.5))

    def log_odds(logits: np.ndarray) -> float:
        finding, _ = outputs.read([float(each) for each in logits])
        return float(np.log(finding / (1 - finding)))

    maps, step = np.eye(3, dtype=np.float32)[:, None, :], 1e-5
    evidence = outputs.evidence(maps, LOGITS, closed_form=False)[0]
    for place in range(3):
        moved = np.array(LOGITS)
        moved[place] += step
        assert (log_odds(moved) - log_odds(np.array(LOGITS))) / step == pytest.approx(float(evidence[place]), abs=1e-4)


@pytest.mark.parametrize("finding_classes", [(), NAMES, ("tuberculosis",)])
def test_a_finding_is_some_of_the_classes(finding_classes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="some of the classes"):
        Classes(NAMES, finding_classes, PLAIN)


def test_forms_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2 classes"):
        Classes(("normal", "covid19"), ("covid19",), PLAIN)
    with pytest.raises(ValueError, match="names differ"):
        Classes(("normal", "normal"), ("normal",), PLAIN)
    with pytest.raises(ValueError, match="classes are three"):
        FindingAndKind(("normal", "pneumonia"), Calibration(1, 0, 1, 0, 0.5))
    with pytest.raises(ValueError, match="2 scales and 3 biases"):
        ClassCalibration((1, 1), (0, 0, 0), 0.5)
    with pytest.raises(ValueError, match="above 0"):
        ClassCalibration((1, -1), (0, 0), 0.5)


def test_a_model_with_classes_of_its_own_is_served(tmp_path: Path) -> None:
    model = small_model(tmp_path, "cxr-covid", **CLASSES)
    predictor = Predictor(model, "cpu")
    assert golden.check(predictor) < golden.TOLERANCE
    film = golden.phantom(2, SIZE).astype(np.float32) / 255
    (prediction,) = predictor.predict(film[None])
    assert prediction.logits.shape == (3,)
    found = analyse(model, prediction, prevalence=0.1)
    assert found.finding == "covid19"
    assert list(found.probabilities) == list(NAMES)
    assert found.probability == pytest.approx(found.probabilities["covid19"])
    assert found.terms.kinds == ()
    assert found.terms.others == ("other_pneumonia",)
    assert found.terms.codes["covid19"].value == "840544004"
    assert 0 <= min(map(min, found.activation)) <= max(map(max, found.activation)) <= 1


def test_the_evidence_is_of_the_finding_against_the_likeliest_other_class(tmp_path: Path) -> None:
    model = small_model(tmp_path, "cxr-covid", **CLASSES)
    maps = np.zeros((3, 2, 2), np.float32)
    maps[0, 0, 0], maps[1, 1, 1], maps[2, 0, 1] = 4.0, 4.0, 4.0
    found = analyse(model, Prediction(np.array([5.0, 5.0, -20.0], np.float32), maps))
    assert found.activation == ((0.0, 0.0), (0.0, 1.0))


def test_stating_a_prevalence_changes_no_decision(tmp_path: Path) -> None:
    model = small_model(tmp_path, "cxr-covid", **CLASSES)
    for logit in np.linspace(-4, 4, 9):
        tiers = {
            model.cutoffs(prevalence).tier(model.outputs.read([0.0, float(logit), 0.5], prevalence)[0])
            for prevalence in (None, 0.02, 0.7)
        }
        assert len(tiers) == 1
    assert model.cutoffs().tier(0.9) is Tier.HIGH


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"form": "regression"}, "the form 'regression' is not known"),
        ({"finding_classes": ["tuberculosis"]}, "misstates the model: finding_classes are some of the classes"),
        ({"calibration": {"scales": [1], "biases": [0], "prevalence": 0.5}}, "a calibration for 1 of 3 classes"),
        ({"calibration": {"scales": [1, 1, 1]}}, "lacks or misstates 'biases'"),
        ({"codes": {"covid19": {"value": "1"}}}, "lacks or misstates 'scheme'"),
        ({"task": "gate"}, "is for the task 'gate', and finds nothing"),
    ],
)
def test_metadata_that_say_something_else_are_refused(
    tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    folder = small_model(tmp_path, "cxr-covid", **CLASSES).directory
    metadata = json.loads((folder / METADATA).read_text())
    metadata["cxr_node"] |= changes
    (folder / METADATA).write_text(json.dumps(metadata))
    with pytest.raises(ConfigError, match=sentence):
        manifest.load(folder)


def test_a_model_for_another_task_is_passed_over(tmp_path: Path) -> None:
    small_model(tmp_path, "cxr-other")
    folder = small_model(tmp_path, "cxr-gate").directory
    metadata = json.loads((folder / METADATA).read_text())
    (folder / METADATA).write_text(json.dumps(metadata | {"cxr_node": {"task": "gate"}}))
    assert [model.name for model in manifest.list_models(tmp_path)] == ["cxr-other"]


def test_a_restricted_version_is_the_latest_only_where_all_are(tmp_path: Path) -> None:
    sentence = "Trained on films for non-commercial use."
    small_model(tmp_path, "cxr-a", "1.0.0")
    restricted = small_model(tmp_path, "cxr-a", "2.0.0", restriction=sentence)
    small_model(tmp_path, "cxr-b", "1.0.0", restriction=sentence)
    assert restricted.restriction == sentence
    assert manifest.find(tmp_path, "cxr-a").version == "1.0.0"
    assert manifest.find(tmp_path, "cxr-a", "2.0.0").version == "2.0.0"
    assert manifest.find(tmp_path, "cxr-b").version == "1.0.0"


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    two_logits = small_model(tmp_path, "cxr-a")
    metadata = json.loads((two_logits.directory / METADATA).read_text())
    metadata["cxr_node"] |= CLASSES
    (two_logits.directory / METADATA).write_text(json.dumps(metadata))
    with pytest.raises(Permanent, match="not of the network efficientnet_lite0 with 3 outputs, or damaged") as caught:
        Predictor(manifest.load(two_logits.directory), "cpu")
    assert caught.value.code == "MODEL_WEIGHTS"


def test_another_model_that_cannot_be_used_is_in_nobodys_way(tmp_path: Path) -> None:
    small_model(tmp_path, "cxr-a")
    broken = tmp_path / "cxr-b" / "1.0.0" / METADATA
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    assert manifest.find(tmp_path, "cxr-a").version == "1.0.0"
    with pytest.raises(ConfigError, match="not valid JSON"):
        manifest.find(tmp_path, "cxr-b")
