"""kill -9 every few seconds while films are sent: nothing lost, nothing twice, by the word of the PACS."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.node import Node, wait_for
from tests.orthanc import Orthanc
from tests.soak.modality import Modality
from tests.soak.pacs import held
from tests.soak.report import Outcome, say

_MACHINES = 2
_VICTIMS = ("serve", "infer", "work", "work", "cxr_node.decoding")
"""A model takes seconds to load: it should come to judge films, too."""
_DRAIN_SECONDS = 7200.0
_SAY_EVERY = 50
_SENT = "SELECT count(*) AS n FROM delivery WHERE sent_at"
_COMMITTED = "SELECT count(*) AS n FROM delivery WHERE confirmed_by = 'commitment'"


def kills(folder: Path, count: int, seconds: float, pace: float, seed: int) -> Outcome:
    """Send `count` films, one every `pace` seconds, while a process of the node is killed every `seconds` on average.

    Which one and when is drawn with `seed`. The PACS is Orthanc, which is asked to commit to every document.
    """
    with (
        Orthanc(folder) as pacs,
        Node(
            folder,
            destinations=[pacs.destination(storage_commitment="on", commitment_seconds=10)],
            study__settle_seconds=1,
        ) as node,
    ):
        pacs.knows("node", "CXR_NODE", node.port)
        began = time.monotonic()
        with _killing(node, Random(seed), seconds) as killed, ThreadPoolExecutor(_MACHINES) as pool:
            machines = [
                pool.submit(_send, node, Modality(folder / "machines"), range(first, count, _MACHINES), pace)
                for first in range(_MACHINES)
            ]
            studies = [study for machine in machines for study in machine.result()]
        say(f"all sent; killed {dict(killed)}")
        wait_for(lambda: node.running, what="a running node")
        node.wait_idle(_DRAIN_SECONDS)
        condemned = len(node.rows("SELECT id FROM job WHERE state = 'failed' AND error_code = 'CRASH'"))
        if condemned:
            say(node.command("requeue", "--failed").stdout.strip())
            node.wait_idle(_DRAIN_SECONDS)
        outcome = Outcome("kills", "Kills")
        minutes = (time.monotonic() - began) / 60
        outcome.lines += [
            f"{sum(killed.values())} kills in {minutes:.0f} minutes: "
            + ", ".join(f"{role} {number}" for role, number in sorted(killed.items()))
            + f". Jobs set aside because two kills hit them alone, and requeued by command: {condemned}.",
            "",
            "| | found | wanted |",
            "| --- | ---: | ---: |",
        ]
        outcome.expect("films acknowledged", len(studies), count)
        outcome.expect("of them in the database", node.rows("SELECT count(*) AS n FROM instance")[0]["n"], count)
        outcome.expect("jobs failed", node.rows("SELECT count(*) AS n FROM job WHERE state = 'failed'")[0]["n"], 0)
        outcome.expect("documents that Orthanc committed to", node.rows(_COMMITTED)[0]["n"], 2 * count)
        found = Counter(tuple(sorted(one.items())) for one in held(pacs, studies))
        outcome.expect("studies with one SR and one heat map in Orthanc", found.pop((("OT", 1), ("SR", 1)), 0), count)
        outcome.expect("studies with anything else", dict(found) or "none", "none")
    return outcome


def _send(node: Node, modality: Modality, numbers: range, pace: float) -> list[str]:
    """One X-ray machine, which goes on through every death of the node; the studies it sent."""
    studies, began = [], time.monotonic()
    for number in numbers:
        shot = modality.shoot(number)
        time.sleep(max(0.0, began + number * pace - time.monotonic()))
        modality.send(shot, node)
        studies.append(shot.study)
        if number % _SAY_EVERY == 0:
            say(f"film {number}: {node.rows(_SENT)[0]['n']} documents sent")
    return studies


@contextmanager
def _killing(node: Node, chance: Random, seconds: float) -> Iterator[Counter[str]]:
    """Kill and, where it was the daemon, start again; what was killed how often."""
    killed: Counter[str] = Counter()
    stopping = threading.Event()

    def go_on() -> None:
        while not stopping.wait(chance.uniform(0.2, 2 * seconds - 0.2)):
            role = chance.choice(_VICTIMS)
            if node.processes(role):
                node.kill(role)
                killed[role] += 1
            if not node.running:
                node.start()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield killed
    finally:
        stopping.set()
        thread.join()
