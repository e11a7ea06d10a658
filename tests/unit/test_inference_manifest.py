"""A model folder: found, read, and refused when a single byte of it changed."""

import json
import shutil
from pathlib import Path

import pytest

from cxr_node.errors import ConfigError, Permanent
from cxr_node.inference import build, manifest
from cxr_node.inference.agreement import RECORD
from cxr_node.inference.build import METADATA, WEIGHTS
from cxr_node.inference.manifest import Manifest

NAME, VERSION = "cxr-pneumonia", "1.0.0"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with a copy of the shipped model, to be damaged."""
    shutil.copytree(build.builtin_directory() / NAME / VERSION, tmp_path / NAME / VERSION)
    return tmp_path


@pytest.fixture
def model(models: Path) -> Manifest:
    """The manifest of that copy."""
    return manifest.find(models, NAME)


def test_the_shipped_model_is_whole() -> None:
    shipped = manifest.find(None, NAME)
    build.verify(shipped)
    assert build.is_release(shipped), "a new build belongs into models/RELEASES"
    assert shipped.finding == "pneumonia"
    assert shipped.classes == ("normal", "bacterial_pneumonia", "viral_pneumonia")
    assert shipped.identity.digest == shipped.digest
    assert 0 < shipped.points.threshold <= shipped.points.high < 1
    assert shipped.card.is_file()
    assert "Not a medical device" in shipped.intended_use


def test_every_file_is_listed(model: Manifest) -> None:
    found = {path.relative_to(model.directory).as_posix() for path in model.directory.rglob("*") if path.is_file()}
    assert found == {*model.files, METADATA.as_posix(), RECORD.as_posix()}


@pytest.mark.parametrize("name", [WEIGHTS, "docs/README.md", "golden/expected.json", METADATA.as_posix()])
def test_a_changed_file_is_named_with_both_digests(model: Manifest, name: str) -> None:
    path = model.directory / name
    expected = build.sha256(path)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(Permanent) as caught:
        build.verify(model)
    assert caught.value.code == "MODEL_DIGEST"
    for part in (name, expected, build.sha256(path)):
        assert part in caught.value.message


def test_a_missing_file_is_named(model: Manifest) -> None:
    model.weights.unlink()
    with pytest.raises(Permanent, match=r"weights\.safetensors .*No such file"):
        build.verify(model)


def test_a_changed_digest_changes_the_identity(models: Path, model: Manifest) -> None:
    path = model.directory / METADATA
    path.write_text(path.read_text().replace("first release", "another release"))
    assert manifest.find(models, NAME).digest != model.digest


def test_the_latest_version_is_by_number(models: Path) -> None:
    for version in ("1.9.0", "1.10.0"):
        shutil.copytree(models / NAME / VERSION, models / NAME / version)
        path = models / NAME / version / METADATA
        path.write_text(json.dumps(json.loads(path.read_text()) | {"version": version}))
    assert manifest.find(models, NAME).version == "1.10.0"
    assert manifest.find(models, NAME, "1.9.0").version == "1.9.0"
    assert [model.version for model in manifest.list_models(models)] == ["1.10.0", "1.9.0", "1.0.0"]


def test_an_unknown_model_names_the_known_ones(models: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model other latest; there are: cxr-pneumonia 1\.0\.0"):
        manifest.find(models, "other")
    with pytest.raises(ConfigError, match=r"no model cxr-pneumonia 2\.0\.0"):
        manifest.find(models, NAME, "2.0.0")


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        manifest.list_models(tmp_path / "none")
    with pytest.raises(ConfigError, match="no readable"):
        manifest.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "not valid JSON"), ("[]", "lacks or misstates"), ('{"name": "x"}', "lacks or misstates 'cxr_node'")],
)
def test_bad_metadata_are_said(models: Path, text: str, sentence: str) -> None:
    (models / NAME / VERSION / METADATA).write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        manifest.find(models, NAME)
