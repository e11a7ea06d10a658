"""Films of years into a table: workers of Ray, killed in the middle and begun again, against one plain process.

The films are those of the shared data set, each as a DX film; where that is not at hand, phantoms. Both ways read files
from the page cache. The plain process does the same with the same functions, one film after the other, in one thread.
"""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import torch

from cxr_node.backfill.judge import Judge, Work
from cxr_node.backfill.reader import Read, header_of, prepared, uids_of
from cxr_node.config import Config
from cxr_node.demo.dx import presentation_film
from cxr_node.demo.phantom import project
from cxr_node.imaging import read_picture
from cxr_node.stages.stage import attempt
from cxr_node.tabulating import work_of
from tests.benchmarks.figures import QUICK, Figure, Scale

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "cxr"
RAY, PLAIN = "`cxr-node backfill --ray`", "one plain process"
RATE, COST, START = "films/s", "a film's processor time", "start"
_QUICK_FILMS = 96
_SAMPLE = 2000
"""Films that the plain process does, in every part of the data."""


def measure(folder: Path, scale: Scale) -> Iterator[Figure | str]:
    """Every film once by Ray with a kill in the middle, and a sample by a plain process."""
    source, out = folder / "films", folder / "results"
    source.mkdir()
    names = list(_wrapped(source, _QUICK_FILMS if scale is QUICK else None))
    with (folder / "killed.txt").open("w", encoding="utf-8") as log:
        began = time.monotonic()
        killed = _killed(source, out, len(names) // 2, log)
        first = time.monotonic() - began
    began, spent = time.monotonic(), _spent()
    done = subprocess.run(_command(source, out), capture_output=True, text=True, check=True)
    took, cost = time.monotonic() - began, _spent() - spent
    table = pq.read_table(out)
    assert sorted(table["source"].to_pylist()) == sorted(names), "every film once"
    told = json.loads((out / "manifest.json").read_text("utf-8"))["counts"]
    rest = len(names) - killed
    yield Figure(RAY, RATE, "films/s", [rest / took])
    yield Figure(RAY, COST, "ms", [1000 * cost / rest])
    yield from _plain(source, names, dict(zip(table["source"].to_pylist(), table["probability"].to_pylist(), strict=True)))
    analysed, refused = told["analysed"], told["not_analysed"]
    yield (
        f"{len(names)} films. The first run was killed (SIGKILL) after {first:.0f} s with {killed} films in the table; the second "
        f"did the other {rest} in {took:.0f} s, with its start. Each film stands in the table once: {analysed} analysed, not "
        f"analysed {json.dumps(refused)}, set aside {json.dumps(told['set_aside'])}. It ended with: {done.stdout.strip().splitlines()[-1]}."
    )


def _plain(source: Path, names: list[str], by_ray: dict[str, float | None]) -> Iterator[Figure | str]:
    work = work_of(Config())
    sample = names[:: max(1, len(names) // _SAMPLE)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        judge, found = Judge(work), {}
        began, spent = time.monotonic(), time.process_time()
        for start in range(0, len(sample), work.batch):
            some = sample[start : start + work.batch]
            found |= {row.source: row.probability for row in judge.rows([(name, _read(source / name, work)) for name in some])}
        took, cost = time.monotonic() - began, time.process_time() - spent
    finally:
        torch.set_num_threads(threads)
    assert {name for name, each in found.items() if each is None} == {name for name in sample if by_ray[name] is None}
    apart = max(abs(each - (by_ray[name] or 0)) for name, each in found.items() if each is not None)
    assert apart < 1e-5, apart
    yield Figure(PLAIN, RATE, "films/s", [len(sample) / took])
    yield Figure(PLAIN, COST, "ms", [1000 * cost / len(sample)])
    yield f"The plain process did {len(sample)} of them, taken evenly; no probability differs by more than {apart:.1g}."


def _read(path: Path, work: Work) -> Read:
    header = attempt(header_of, path)
    if isinstance(header, Exception):
        return Read("", uids_of(header), header, 0.0)
    return Read("", uids_of(header), attempt(lambda one: prepared(one, header, rules=work.rules, side=work.side), path), 0.0)


def _killed(source: Path, out: Path, enough: int, log: object) -> int:
    """Kill a run when so many films are in its table; how many were."""
    process = subprocess.Popen(_command(source, out), stdout=log, stderr=log)  # type: ignore[call-overload]
    while process.poll() is None and sum(pq.read_metadata(part).num_rows for part in out.glob("part-*.parquet")) < enough:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return sum(pq.read_metadata(part).num_rows for part in out.glob("part-*.parquet"))


def _command(source: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "cxr_node", "backfill", str(source), "--ray", "--output", str(out)]


def _wrapped(folder: Path, limit: int | None) -> Iterator[str]:
    """Write the films as DICOM; their names."""
    if not SHARED.is_dir() or limit:
        for number in range(limit or 1000):
            yield _write(folder, f"{number:05}.dcm", project(512, 448, number), 12)
        return
    with (SHARED / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream)):
            yield _write(folder, f"{number:05}.dcm", read_picture(SHARED / row["path"]), 8)
