"""The shipped gate on phantoms and on what was done to them, and folders that are no gate."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cxr_node.demo.phantom import project
from cxr_node.domain.quality import Flag
from cxr_node.errors import ConfigError, Ineligible, Permanent
from cxr_node.imaging import Prepared, decode, prepare, prepare_grey
from cxr_node.inference import build, gate_manifest, golden, manifest
from cxr_node.inference.gate import Gate, admission
from tests import films
from tests.models import small_model

NAME, VERSION = "cxr-gate", "1.0.0"
SIZE = 224


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(gate_manifest.find(None, NAME))


@pytest.fixture(scope="module")
def film() -> Prepared:
    return prepare_grey((project(seed=4) >> 4).astype(np.uint8), SIZE)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A models folder with a copy of the shipped gate."""
    shutil.copytree(build.builtin_directory() / NAME / VERSION, tmp_path / NAME / VERSION)
    return tmp_path


def refused(gate: Gate, film: Prepared) -> str:
    with pytest.raises(Ineligible) as caught:
        gate.admit(film)
    return caught.value.code


def test_the_shipped_gate_is_whole_released_and_computes_as_at_its_release(gate: Gate) -> None:
    assert build.is_release(gate.manifest), "a new build belongs into models/RELEASES"
    assert golden.check(gate) < golden.TOLERANCE
    assert sum(path.stat().st_size for path in gate.manifest.directory.rglob("*") if path.is_file()) < 1_000_000


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_phantom_is_analysed_and_called_unusual_at_most(gate: Gate, seed: int) -> None:
    film = prepare_grey((project(seed=seed) >> 4).astype(np.uint8), SIZE)
    admitted, assessment = gate.admit(film)
    assert admitted is film
    assert set(assessment.flags) <= {Flag.UNUSUAL, Flag.UNSURE}
    assert (assessment.gate.name, assessment.inverted) == (NAME, False)


@pytest.mark.parametrize(("quarters", "flag"), [(1, Flag.TURNED_90), (2, Flag.TURNED_180), (3, Flag.TURNED_270)])
def test_a_film_that_is_turned_is_flagged_so(gate: Gate, film: Prepared, quarters: int, flag: Flag) -> None:
    assert flag in gate.admit(np.rot90(film, quarters))[1].flags


def test_a_film_with_black_for_white_is_set_right(gate: Gate, film: Prepared) -> None:
    admitted, assessment = gate.admit(1 - film)
    assert Flag.INVERTED in assessment.flags
    assert np.allclose(admitted, film)


def test_an_exposure_of_nothing_is_refused(gate: Gate) -> None:
    random = np.random.default_rng(3)
    assert refused(gate, prepare_grey(random.normal(128, 3, (512, 512)).astype(np.uint8), SIZE)) == "BLANK"


def test_a_drawn_leg_is_refused(gate: Gate) -> None:
    leg = films.leg(1)
    assert refused(gate, prepare(decode(leg), leg, SIZE)) in ("NOT_CHEST", "INVERTED")


@pytest.mark.parametrize("size", [112, 260, 300])
def test_any_size_that_a_model_has_is_looked_at(gate: Gate, size: int) -> None:
    film = prepare_grey((project(seed=4) >> 4).astype(np.uint8), size)
    assert gate.admit(film)[0].shape == (size, size)


def test_without_a_gate_every_film_is_let_in_as_it_is(film: Prepared) -> None:
    assert admission(None)(film) == (film, None)


def test_the_shipped_gate_serves_where_a_site_has_a_models_folder_without_one(tmp_path: Path) -> None:
    small_model(tmp_path, "own")
    assert gate_manifest.find(tmp_path, NAME).directory == build.builtin_directory() / NAME / VERSION
    assert [model.name for model in manifest.list_models(tmp_path)] == ["own"]


def test_a_gate_of_the_site_goes_before_the_shipped_one(copy: Path) -> None:
    assert gate_manifest.find(copy, NAME).directory == copy / NAME / VERSION


def test_an_unknown_gate_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"There is no gate 'other'; there are: cxr-gate 1\.0\.0"):
        gate_manifest.find(None, "other")


def test_a_model_that_finds_something_is_no_gate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no gate"):
        gate_manifest.load(small_model(tmp_path, "own").directory)


def test_a_gate_is_no_model_that_finds_something(copy: Path) -> None:
    with pytest.raises(ConfigError, match="for the task 'gate'"):
        manifest.load(copy / NAME / VERSION)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ours: ours.pop("limits"), "lacks or misstates 'limits'"),
        (lambda ours: ours.update(limits={"blank": 0.5}), "lacks or misstates"),
        (lambda ours: ours.update(size="large"), "misstates the model"),
    ],
)
def test_metadata_that_lack_something_are_named(copy: Path, change: object, said: str) -> None:
    _rewrite(copy / NAME / VERSION, change)
    with pytest.raises(ConfigError, match=said):
        gate_manifest.find(copy, NAME)


def test_a_gate_for_films_of_another_size_is_not_loaded(copy: Path) -> None:
    _rewrite(copy / NAME / VERSION, lambda ours: ours.update(size=64))
    with pytest.raises(ConfigError, match="64 pixels, not 112"):
        Gate(gate_manifest.find(copy, NAME))


def test_a_changed_file_is_not_loaded(copy: Path) -> None:
    (copy / NAME / VERSION / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(Permanent, match=r"weights\.safetensors of the model cxr-gate 1\.0\.0 is not as released"):
        Gate(gate_manifest.find(copy, NAME))


def _rewrite(folder: Path, change: object) -> None:
    path = folder / build.METADATA
    metadata = json.loads(path.read_text("utf-8"))
    change(metadata["cxr_node"])  # type: ignore[operator]
    path.write_text(json.dumps(metadata), "utf-8")
