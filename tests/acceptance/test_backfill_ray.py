"""Films of years on a real Ray: each once, whoever is killed and whatever a film does to who reads it; as the node
itself would judge them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cxr_node.analyst import Analyst
from cxr_node.backfill.reader import Reader
from cxr_node.backfill.table import FOLDER
from cxr_node.config import Config
from cxr_node.domain.eligibility import Rules
from cxr_node.errors import Permanent
from cxr_node.plan import Plan
from tests import films
from tests.cluster import MARK, living, title
from tests.node import wait_for

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600)]

DEADLY, HANGING, COUNT = "deadly", "hanging", 60
POISON = """
import os, signal, sys, time
if "cxr_node.backfill" in sys.orig_argv:
    def act(event, arguments):
        name = os.path.basename(str(arguments[0])) if event == "open" else ""
        if name.startswith("slow") and "SLOWLY" in os.environ:
            time.sleep(0.1)
        if name.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.startswith("hanging"):
            time.sleep(3600)
    sys.addaudithook(act)
"""
"""What a film does to the process that reads it, by its name."""


@pytest.fixture
def poison(tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose readers come to harm."""
    folder = tmp_path / "poison"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(POISON, "utf-8")
    known = {
        "PYTHONPATH": str(folder),
        "RAY_memory_monitor_refresh_ms": "0",
        MARK: str(tmp_path),
        "HOME": str(tmp_path),
    }
    return os.environ | known


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Films, some of them several times; a leg, a text, half a film, one that kills whoever reads it."""
    folder = tmp_path / "films"
    folder.mkdir()
    written = [films.write(films.chest(number), folder / f"slow-{number}.dcm") for number in range(10)]
    for number in range(10, COUNT):
        (folder / f"slow-{number}.dcm").hardlink_to(written[number % 10])
    films.write(films.leg(201), folder / "leg.dcm")
    films.write(films.chest(202), folder / f"{DEADLY}.dcm")
    (folder / "half.dcm").write_bytes(written[0].read_bytes()[:50_000])
    (folder / "notes.txt").write_text("no film " * 100)
    return folder


def command(source: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "cxr_node", "backfill", str(source), "--ray", "--output", str(out), *more]


def rows(out: Path) -> dict[str, dict[str, Any]]:
    """By their names; AssertionError where one is there twice."""
    found = pq.read_table(out / FOLDER).to_pylist()
    by_name = {row["source"]: row for row in found}
    assert len(by_name) == len(found)
    return by_name


def parts(out: Path) -> list[Path]:
    return list((out / FOLDER).glob("*.parquet"))


def test_each_film_stands_in_the_table_once_and_as_the_node_would_judge_it(
    source: Path, poison: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "results"
    slowly = subprocess.Popen(command(source, out), env=poison | {"SLOWLY": "1"})
    wait_for(lambda: parts(out), what="the first films")
    slowly.kill()
    slowly.wait()
    before = len(rows(out))
    assert 0 < before < COUNT
    wait_for(lambda: not living(str(tmp_path)), what="the end of all that it had begun")

    again = subprocess.Popen(
        command(source, out), env=poison, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    worker = wait_for(
        lambda: [pid for pid in living(str(tmp_path)) if "ray::MapWorker" in title(pid)], what="a worker"
    )[0]
    os.kill(worker, signal.SIGKILL)
    said, complained = again.communicate()
    assert again.returncode == 0, complained
    assert f"{COUNT + 4} of {COUNT + 4} films" in said

    assert not (tmp_path / ".ray").exists(), "no token that clusters of later would ask for"

    found = rows(out)
    assert found.keys() == {path.name for path in source.iterdir()}
    assert {name: row["code"] for name, row in found.items() if row["state"] != "analysed"} == {
        "leg.dcm": "BODY_PART", "notes.txt": "NO_DICOM", "half.dcm": "TRUNCATED", f"{DEADLY}.dcm": "FILM_KILLS",
    }  # fmt: skip
    assert found[f"{DEADLY}.dcm"]["reason"] == "the process that read the film died of it (SIGSEGV)"
    told = json.loads((out / "manifest.json").read_text())
    assert told["counts"]["analysed"] == COUNT
    assert [(run["run"], run["ended"] is None) for run in told["runs"]] == [(1, True), (2, False)]
    assert told["runs"][1]["done"] == COUNT + 4 - before

    by_hand = Analyst(Plan.of(Config()), tmp_path).judge([(source / f"slow-{n}.dcm", f"{n}") for n in range(10)])
    for result in by_hand:
        row = found[Path(result.file).name]
        assert row["probability"] == pytest.approx(result.probability, abs=1e-5)
        assert dict(row["probabilities"]) == pytest.approx(result.probabilities, abs=1e-5)
        assert (row["positive"], row["severity"]) == (result.positive, result.tier)
        assert tuple(row["flags"]) == result.flags
        assert row["sop_instance_uid"] == str(films.chest(int(row["source"][5:-4])).SOPInstanceUID)


def test_a_film_that_kills_or_hangs_who_reads_it_harms_no_other(source: Path, tmp_path: Path) -> None:
    script = tmp_path / "reader.py"
    script.write_text(
        POISON.replace('"cxr_node.backfill" in sys.orig_argv', "True") + "\nimport cxr_node.backfill.__main__\n"
    )
    (source / f"{HANGING}.dcm").hardlink_to(source / "slow-1.dcm")
    reader = Reader(Rules(), 128, seconds=5.0, command=(sys.executable, str(script)))
    try:
        for name, code in ((DEADLY, "FILM_KILLS"), (HANGING, "FILM_HANGS")):
            outcome = reader.read(source / f"{name}.dcm").outcome
            assert isinstance(outcome, Permanent)
            assert outcome.code == code
            assert not isinstance(reader.read(source / "slow-1.dcm").outcome, Exception)
    finally:
        reader.close()


def test_a_process_that_reads_and_does_not_start_is_told(source: Path) -> None:
    reader = Reader(Rules(), 128, command=("/bin/false",))
    with pytest.raises(Permanent, match="does not start") as told:
        reader.read(source / "slow-1.dcm")
    assert told.value.code == "DECODER"
