"""`cxr-node demo` as a process: it shows what it promises, ends by itself, and leaves nothing running."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from cxr_node.demo.node import Node
from cxr_node.errors import Permanent
from tests import films
from tests.node import wait_for


@pytest.fixture
def modality(tmp_path: Path) -> Path:
    """A folder with three films, one of them a leg, a film that cannot be sent, and a file that is no film."""
    folder = tmp_path / "films"
    films.write(films.chest(), folder / "a-chest.dcm")
    films.write(films.leg(), folder / "b-leg.dcm")
    Image.fromarray((films.chest().pixel_array >> 4).astype(np.uint8)).save(folder / "c-picture.png")
    (folder / "notes.txt").write_text("no film")
    anonymous = films.chest()
    del anonymous.file_meta.MediaStorageSOPClassUID
    pydicom.dcmwrite(folder / "d-no-meta.dcm", anonymous, enforce_file_format=False)
    return folder


def command(modality: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "cxr_node", "demo", "--films", str(modality), "--out", str(out)]


def left_behind(out: Path) -> list[str]:
    """The command lines of living processes that were started with something in `out`, and of their children."""
    alive = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            alive[process.name] = parent, line
    ours = {number for number, (_, line) in alive.items() if str(out) in line}
    return [line for number, (parent, line) in alive.items() if number in ours or parent in ours]


def open_files(out: Path) -> list[Path]:
    """Open files in `out`, of any process: a child that outlived its parent would still hold the database."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = link.readlink()
        except OSError:
            continue
        if target.is_relative_to(out):
            found.append(target)
    return found


def test_plays_films_and_shows_the_result(modality: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(command(modality, out), capture_output=True, text=True, timeout=280, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "notes.txt is neither DICOM nor" in done.stdout
    assert "d-no-meta.dcm: not taken: its File Meta Information" in done.stdout
    reading, latency = (part.split("\n\n")[1].splitlines() for part in _sections(done.stdout))
    assert [line.split()[0] for line in reading] == ["read", "1", "2", "3"]
    assert {line.split()[1] for line in reading[1:]} == {"1", "2", "3"}
    (leg,) = [line for line in reading if "b-leg.dcm" in line]
    assert "not analysed: Body Part Examined (0018,0015) is 'LEG'" in leg
    (chest,) = [line for line in reading if "a-chest.dcm" in line]
    assert re.search(r"(high|medium|none) +\d+\.\d %", chest)
    assert [line.split()[0] for line in latency[1:]] == ["a-chest.dcm", "c-picture.png"]
    for line in latency[1:]:
        analysed, settled, sr, sc = (float(number) for number in re.findall(r"(\d+\.\d\d) s", line))
        assert 0 <= analysed <= sr and 0.5 < settled <= sr <= sc

    (run,) = [path for path in out.iterdir() if path.is_dir()]
    for path in (out / "contact-sheet.png", run / "archive", run / "cxr-node.toml", run / "node.log"):
        assert str(path) in done.stdout
    kept = [pydicom.dcmread(path) for path in (run / "archive").iterdir()]
    assert sorted(document.Modality for document in kept) == ["OT", "OT", "SR", "SR"]
    with Image.open(out / "contact-sheet.png") as sheet:
        assert min(sheet.size) > 500
    assert left_behind(out) == [] and open_files(out) == []


def _sections(text: str) -> tuple[str, str]:
    """From the reading order, and from the latencies on."""
    return text[text.index("Reading order") :], text[text.index("Time after") :]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cleans_up_when_it_is_interrupted(modality: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(command(modality, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as demo:
        wait_for(lambda: [line for line in left_behind(out) if "infer" in line], what="a node that starts")
        os.kill(demo.pid, number)
        _, said = demo.communicate(timeout=120)
    assert demo.returncode == 1
    assert said.strip() == "Aborted!"
    assert left_behind(out) == []
    wait_for(lambda: not open_files(out), what="the end of the node's children")


def test_says_when_there_are_no_films(tmp_path: Path) -> None:
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    done = subprocess.run(command(empty, out), capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 1
    assert done.stderr == f"NO_FILMS: there are no films in {empty}\n"
    assert left_behind(out) == []


def test_says_where_the_log_is_when_the_node_ends(tmp_path: Path) -> None:
    node = Node(tmp_path, "ARCHIVE", 104, settle=1.0)
    node.file.write_text("[node]\nmode = 'loud'\n")
    node.start()
    began = time.monotonic()
    with pytest.raises(Permanent, match="ended by itself with 78") as failure:
        node.wait_ready()
    assert str(node.log) in failure.value.message and "mode" in failure.value.message
    assert time.monotonic() - began < 60
    node.stop()
