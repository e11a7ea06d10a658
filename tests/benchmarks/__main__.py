"""`make bench`, or `python -m tests.benchmarks [PART...]`: the figures of docs/benchmarks.md.

    --quick           small films and few of them: minutes; it shows that all works, and says nothing of a machine
    --out DIR         where results.jsonl and index.html go, dist/benchmarks unless told otherwise
    --from FILE       measure nothing: goals, page and document of results of before
    --write           put the tables into docs/benchmarks.md, and the goals where each was measured

The results of parts that are not run again are kept.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cxr_node.observe import log
from tests.benchmarks import (
    backfill,
    crowd,
    device,
    document,
    explaining,
    goals,
    history,
    latency,
    memory,
    pages,
    pool,
    processes,
    receive,
    rig,
    sheet,
    stages,
    startup,
    subscribers,
    throughput,
    training,
    workitems,
)
from tests.benchmarks.figures import FULL, QUICK, Figure, Part, Scale, load, record

Measure = Callable[[Path, Scale], Iterator[Figure | str]]
PARTS: Mapping[str, tuple[str, Measure]] = {
    "receive": ("Receiving", receive.measure),
    "crowd": ("A hundred machines at once", crowd.measure),
    "startup": ("Starting", startup.measure),
    "stages": ("What each step costs", stages.measure),
    "explaining": ("Maps of what the model looked at", explaining.measure),
    "device": ("The network on a graphics card", device.measure),
    "pool": ("A pool of networks", pool.measure),
    "backfill": ("Films of years", backfill.measure),
    "memory": ("Memory that is kept", memory.measure),
    "latency": ("Latency of one study", latency.measure),
    "throughput": ("Throughput", throughput.measure),
    "processes": ("One process or two", processes.measure),
    "history": ("With many studies in the database", history.measure),
    "pages": ("The web pages with many studies", pages.measure),
    "training": ("Training", training.measure),
    "workitems": ("Workitems with many studies", workitems.measure),
    "subscribers": ("Many who want to hear of workitems", subscribers.measure),
}
_OUT = Path(__file__).parents[2] / "dist" / "benchmarks"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description="The figures of docs/benchmarks.md.")
    parser.add_argument(
        "part", nargs="*", choices=[[], *PARTS], metavar="PART", help=f"of {', '.join(PARTS)}; none: all"
    )
    parser.add_argument("--quick", action="store_true", help="small and few: minutes")
    parser.add_argument("--out", type=Path, default=_OUT, help="where results.jsonl and index.html go")
    parser.add_argument("--from", dest="results", type=Path, help="measure nothing; show these results")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    asked = parser.parse_args(arguments)
    if asked.quick and asked.write:
        parser.error("--quick says nothing about a machine, so that it is not written into the document")
    file = asked.results or asked.out / "results.jsonl"
    if not asked.results:
        if missing := [each for each in (rig.STORESCU, rig.STORESCP, rig.ORTHANC) if not Path(each).exists()]:
            parser.error(f"{', '.join(missing)}: not here; the benchmarks need Debian's dcmtk and orthanc")
        command = shlex.join(["python", "-m", "tests.benchmarks", *arguments])
        _measure(asked.part or list(PARTS), QUICK if asked.quick else FULL, file, command)
    parts, told = load(file.read_text("utf-8").splitlines())
    print("\n## Goals\n", *goals.markdown(parts), "", goals.caution(told), sep="\n")
    shown = file.with_name("index.html")
    shown.write_text(sheet.page(parts, told), "utf-8")
    print(f"\n{shown}")
    if asked.write:
        document.write(parts, told)


def _measure(names: Sequence[str], scale: Scale, file: Path, command: str) -> None:
    """Run parts; each is written down when it is done."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        title, measure = PARTS[name]
        print(f"\n## {title}\n", flush=True)
        part = Part(name, title)
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
            for found in measure(Path(folder), scale):
                part.add(found)
        print("\n".join(part.markdown()), flush=True)
        kept = file.read_text("utf-8").splitlines() if file.exists() else []
        others = [line for line in kept if json.loads(line)["part"] != name]
        file.write_text("\n".join([*others, *record(part, scale, command)]) + "\n", "utf-8")


if __name__ == "__main__":
    log.configure("warning", "console")
    main(sys.argv[1:])
