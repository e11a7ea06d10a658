"""Films of years into a table: workers of Ray, killed in the middle and begun again, against one plain process.

The films are those of the shared data set, each as a DX film; where that is not at hand, phantoms. Both ways read files
from the page cache. The plain process does the same with the same functions, one film after the other, in one thread.
"""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from cxr_node.backfill.judge import Judge, Work
from cxr_node.backfill.reader import Read, header_of, prepared, uids_of
from cxr_node.backfill.table import FOLDER
from cxr_node.config import Config
from cxr_node.demo.dx import presentation_film
from cxr_node.demo.phantom import project
from cxr_node.imaging import read_picture
from cxr_node.stages.stage import attempt
from cxr_node.tabulating import work_of
from tests.benchmarks.figures import QUICK, Figure, Scale

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "cxr"
RAY, PLAIN = "`cxr-node backfill --ray`", "one plain process"
RATE = "judged"
_QUICK_FILMS, _PHANTOMS = 400, 1000


def measure(folder: Path, scale: Scale) -> Iterator[Figure | str]:
    """Every film once by Ray, with a kill in the middle, and once more by a plain process."""
    source, out = folder / "films", folder / "results"
    source.mkdir()
    names = list(_wrapped(source, _QUICK_FILMS if scale is QUICK else None))
    with (folder / "killed.txt").open("w", encoding="utf-8") as log:
        began = time.monotonic()
        killed = _killed(source, out, len(names) // 2, log)
        first = time.monotonic() - began
    began = time.monotonic()
    subprocess.run(_command(source, out), capture_output=True, check=True)
    took = time.monotonic() - began
    table = pq.read_table(out / FOLDER)
    assert sorted(table["source"].to_pylist()) == sorted(names), "every film once"
    counts = json.loads((out / "manifest.json").read_text("utf-8"))["counts"]
    rest = len(names) - killed
    yield Figure(RAY, RATE, "films/s", [rest / took])
    yield from _plain(
        source, names, dict(zip(*(table[each].to_pylist() for each in ("source", "probability")), strict=True))
    )
    yield (
        f"{len(names)} films. The first run was killed (SIGKILL) after {first:.0f} s with {killed} films in the "
        f"table; the second did the other {rest} in {took:.0f} s, its start included. Each film stands in the table "
        f"once: {_told(counts)}."
    )


def _told(counts: dict[str, Any]) -> str:
    """The counts of a manifest, in words."""
    each = {name: ", ".join(f"{code} {n}" for code, n in said.items()) or "none" if isinstance(said, dict) else said
            for name, said in counts.items()}  # fmt: skip
    return ", ".join(f"{name.replace('_', ' ')} {said}" for name, said in each.items())


def _plain(source: Path, names: list[str], by_ray: dict[str, float | None]) -> Iterator[Figure | str]:
    work = work_of(Config())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        judge, found = Judge(work), {}
        began = time.monotonic()
        for start in range(0, len(names), work.batch):
            some = names[start : start + work.batch]
            rows = judge.rows([(name, _read(source / name, work)) for name in some])
            found |= {row.source: row.probability for row in rows}
        took = time.monotonic() - began
    finally:
        torch.set_num_threads(threads)
    assert {name for name, each in found.items() if each is None} == {name for name in names if by_ray[name] is None}
    apart = max(abs(each - (by_ray[name] or 0)) for name, each in found.items() if each is not None)
    assert apart < 1e-5, apart
    yield Figure(PLAIN, RATE, "films/s", [len(names) / took])
    yield f"The plain process did all of them, too; the largest difference of a probability is {apart:.1g}."


def _read(path: Path, work: Work) -> Read:
    header = attempt(header_of, path)
    if isinstance(header, Exception):
        return Read("", uids_of(header), header, 0.0)
    seen = attempt(lambda film: prepared(film, header, rules=work.rules, side=work.side), path)
    return Read("", uids_of(header), seen, 0.0)


def _killed(source: Path, out: Path, enough: int, log: IO[str]) -> int:
    """Kill a run when so many films are in its table; how many were."""
    process = subprocess.Popen(_command(source, out), stdout=log, stderr=log)
    while process.poll() is None and _rows(out) < enough:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return _rows(out)


def _rows(out: Path) -> int:
    return sum(pq.read_metadata(part).num_rows for part in (out / FOLDER).glob("*.parquet"))


def _command(source: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "cxr_node", "backfill", str(source), "--ray", "--output", str(out)]


def _wrapped(folder: Path, limit: int | None) -> Iterator[str]:
    """Write the films as DICOM, at most `limit` of them; their names."""
    films = _shared() if SHARED.is_dir() else (_phantom(number) for number in range(_PHANTOMS))
    for number, (pixels, bits) in enumerate(islice(films, limit)):
        film = presentation_film(pixels, bits, 1.0, f"backfill {number}")
        film.BodyPartExamined = "CHEST"
        name = f"{number:05}.dcm"
        film.save_as(folder / name, enforce_file_format=True)
        yield name


def _shared() -> Iterator[tuple[NDArray[np.uint8] | NDArray[np.uint16], int]]:
    with (SHARED / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield read_picture(SHARED / row["path"]), 8


def _phantom(number: int) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], int]:
    return project(rows=448, columns=392, seed=number), 12
