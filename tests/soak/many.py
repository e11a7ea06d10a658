"""Many small films for an hour or more: does the node use more and more of anything?"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks import rig
from tests.node import Node
from tests.soak import samples
from tests.soak.modality import Modality
from tests.soak.plot import draw
from tests.soak.report import Outcome, say

_MACHINES = 2  # X-ray machines that send at the same time
_SAMPLE_SECONDS, _SAY_EVERY = 5.0, 12
_DRAIN_SECONDS = 3600.0
_LEFT = "SELECT count(*) AS n FROM job WHERE state IN ('ready', 'running')"
_REPORTED = """
    SELECT count(*) AS n FROM (SELECT study_instance_uid FROM document JOIN delivery USING (sop_instance_uid)
        WHERE sent_at IS NOT NULL GROUP BY study_instance_uid HAVING count(*) = 2 AND count(DISTINCT kind) = 2)
"""


def many_films(folder: Path, count: int, minutes: float) -> Outcome:
    """Send `count` films, evenly over `minutes`, while the node is watched; documents go to dcmtk's storescp.

    Leaves samples.csv and soak.png in `folder`.
    """
    with (
        rig.storescp(folder / "archive", keeping=False) as archive,
        Node(folder, destinations=[archive.destination()], study__settle_seconds=1, inference__decoders=1) as node,
    ):
        node.analysing()
        watch = _Watch(node, folder)
        with ThreadPoolExecutor(_MACHINES) as pool:
            machines = [
                pool.submit(
                    _send, node, Modality(folder / "machines"), range(first, count, _MACHINES), 60 * minutes / count
                )
                for first in range(_MACHINES)
            ]
            watch.as_long_as(lambda: not all(machine.done() for machine in machines))
            again = sum(machine.result() for machine in machines)
        drained = time.monotonic() + _DRAIN_SECONDS
        watch.as_long_as(lambda: bool(node.rows(_LEFT)[0]["n"]) and time.monotonic() < drained)
        outcome = Outcome("films", "Many small films", ["| | found | wanted |", "| --- | ---: | ---: |"])
        outcome.expect("films acknowledged", node.rows("SELECT count(*) AS n FROM instance")[0]["n"], count)
        outcome.expect("studies with one SR and one heat map sent", node.rows(_REPORTED)[0]["n"], count)
        outcome.expect("films sent again", again, 0)
        outcome.expect("jobs failed", node.rows("SELECT count(*) AS n FROM job WHERE state = 'failed'")[0]["n"], 0)
    _judge(watch.samples, outcome)
    draw(watch.samples, folder / "soak.png", f"{count} films in {watch.samples[-1].seconds / 60:.0f} minutes")
    return outcome


def _send(node: Node, modality: Modality, numbers: range, pace: float) -> int:
    """One X-ray machine: film `number` is due after `number` times `pace` seconds. How many had to be sent again."""
    began, again = time.monotonic(), 0
    for number in numbers:
        shot = modality.shoot(number)
        time.sleep(max(0.0, began + number * pace - time.monotonic()))
        again += modality.send(shot, node) - 1
    return again


class _Watch:
    """Takes a sample every few seconds, into memory and into samples.csv in `folder`."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.samples: list[samples.Sample] = []
        self._node, self._file, self._began = node, folder / "samples.csv", time.time()
        self._before = self._began

    def as_long_as(self, going_on: Callable[[], bool]) -> None:
        while going_on():
            now = time.time()
            if sample := samples.take(self._node, self._began, self._before):
                self._before = now
                self.samples.append(sample)
                samples.append(self._file, sample)
                if len(self.samples) % _SAY_EVERY == 1:
                    say(f"{sample.seconds / 60:.0f} min: {sample}")
            time.sleep(_SAMPLE_SECONDS)


def _judge(taken: list[samples.Sample], outcome: Outcome) -> None:
    outcome.lines += ["", "| | median | largest | growth | |", "| --- | ---: | ---: | ---: | --- |"]
    for judged in samples.verdicts(taken):
        flat = "flat" if judged.flat else "GROWS"
        outcome.lines.append(
            f"| {judged.title} | {judged.median:.1f} | {judged.largest:.1f} | {judged.growth:+.2f} | {flat} |"
        )
        if not judged.flat:
            outcome.failures.append(f"{judged.title} grows by {judged.growth:.2f}")
