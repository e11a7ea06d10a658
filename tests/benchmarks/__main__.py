"""`make bench`, or `python -m tests.benchmarks [PART...] [--write]`: the figures of docs/benchmarks.md.

With --write the parts that ran take the place of their sections in that file.
"""

import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from tests.benchmarks import crowd, device, latency, memory, pages, processes, receive, stages, subscribers, workitems

PARTS: dict[str, tuple[str, Callable[[Path], Iterator[str]]]] = {
    "receive": ("Receiving 15 MB films", receive.measure),
    "crowd": ("A hundred machines at once", crowd.measure),
    "stages": ("What each step costs", stages.measure),
    "device": ("The network on a graphics card", device.measure),
    "memory": ("Memory that is kept", memory.measure),
    "latency": ("Latency of one study", latency.measure),
    "throughput": ("Throughput", latency.throughput),
    "processes": ("One process or two", processes.measure),
    "pages": ("The web pages with many studies", pages.measure),
    "workitems": ("Workitems with many studies", workitems.measure),
    "subscribers": ("Many who want to hear of workitems", subscribers.measure),
}
_DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main(arguments: list[str]) -> None:
    names = [name for name in arguments if name in PARTS] or list(PARTS)
    for name in names:
        title, measure = PARTS[name]
        print(f"\n## {title}\n", flush=True)
        lines = []
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
            for line in measure(Path(folder)):
                print(line, flush=True)
                lines.append(line)
        if "--write" in arguments:
            _write(name, title, lines)


def _write(name: str, title: str, lines: list[str]) -> None:
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    made = f"`python -m tests.benchmarks {name}`; {datetime.now().astimezone():%Y-%m-%d}, {machine}."
    section = "\n".join([f"<!-- {name} -->", f"## {title}", "", *lines, "", made, f"<!-- /{name} -->"])
    text = _DOCUMENT.read_text("utf-8")
    place = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    text = place.sub(lambda _: section, text) if place.search(text) else f"{text.rstrip()}\n\n{section}\n"
    _DOCUMENT.write_text(text, "utf-8")


main(sys.argv[1:])
