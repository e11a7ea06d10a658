"""What fuzzing found stays mended, and a short run of every target finds nothing new."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.connections import Connections
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
TALKS = [path for path in CORPUS if path.name.startswith("connections")]
FILES = [path for path in CORPUS if path not in TALKS]


def named(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", FILES, ids=named)
def test_what_was_found_is_found_no_more(path: Path, tmp_path: Path) -> None:
    target = TARGETS[path.name.partition("-")[0]]()
    target.begin(tmp_path)

    with warnings.catch_warnings(action="ignore"):
        assert target.run(path.read_bytes())


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    target = Connections()
    with target.standing(tmp_path_factory.mktemp("node")):
        yield target


@pytest.mark.fault
@pytest.mark.parametrize("path", TALKS, ids=named)
def test_a_connection_that_was_borne_badly_is_borne(path: Path, talking: Target) -> None:
    assert talking.run(path.read_bytes())

    assert list(talking.look(final=True)) == []


def fuzz(folder: Path, *arguments: str) -> str:
    """Run fuzzing as a person would; what it printed. It ends with 0 where it found nothing."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments, "--seed", "1", "--findings", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_a_short_run_in_the_process(tmp_path: Path) -> None:
    said = fuzz(tmp_path, "settings", "parsers", "headers", "intake", "frames", "--inputs", "150")
    assert said.count(": 150 inputs") == 5


@pytest.mark.fault
def test_a_short_run_over_the_network(tmp_path: Path) -> None:
    assert "150 inputs" in fuzz(tmp_path, "connections", "--inputs", "150")
    assert "100 inputs" in fuzz(tmp_path, "services", "--inputs", "100")
    assert "20 inputs" in fuzz(tmp_path, "whole", "--inputs", "20")
