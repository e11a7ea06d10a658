"""A PACS that is away for an hour: films go on coming, and everything arrives once it is back."""

import time
from collections import Counter
from pathlib import Path

from tests.node import Node, wait_for
from tests.orthanc import Orthanc
from tests.soak.modality import Modality
from tests.soak.pacs import held
from tests.soak.report import Outcome, say

_BACKLOG_SECONDS = 3600.0
_SAY_EVERY = 50
_WAITING = "SELECT count(*) AS n FROM delivery WHERE sent_at IS NULL"


def outage(folder: Path, minutes: float, pace: float) -> Outcome:
    """Send a film every `pace` seconds for `minutes`, all the while without the PACS; then start it (Orthanc)."""
    pacs, modality, studies = Orthanc(folder), Modality(folder / "machines"), list[str]()
    with Node(folder, destinations=[pacs.destination()], study__settle_seconds=1) as node:
        began = time.monotonic()
        for number in range(int(60 * minutes / pace)):
            shot = modality.shoot(number)
            modality.send(shot, node)
            studies.append(shot.study)
            if number % _SAY_EVERY == 0:
                say(f"film {number}: {node.rows(_WAITING)[0]['n']} documents wait")
            time.sleep(max(0.0, began + (number + 1) * pace - time.monotonic()))
        waiting = wait_for(lambda: (n := node.rows(_WAITING)[0]["n"]) >= 2 * len(studies) and n, what="all documents")
        tried = node.rows("SELECT max(attempt) AS n FROM job WHERE kind = 'deliver'")[0]["n"]
        with pacs:
            back = time.monotonic()
            node.wait_idle(_BACKLOG_SECONDS)
            took = time.monotonic() - back
            found = Counter(tuple(sorted(one.items())) for one in held(pacs, studies))
        outcome = Outcome("outage", "A PACS that is away")
        outcome.lines += [
            f"Away for {minutes:g} minutes; {waiting} documents waited, the oldest tried {tried} times; all were "
            f"stored {took:.0f} s after the PACS was back.",
            "",
            "| | found | wanted |",
            "| --- | ---: | ---: |",
        ]
        outcome.expect("documents that waited", waiting, 2 * len(studies))
        outcome.expect("studies with one SR and one heat map in Orthanc", found[("OT", 1), ("SR", 1)], len(studies))
        outcome.expect("jobs failed", node.rows("SELECT count(*) AS n FROM job WHERE state = 'failed'")[0]["n"], 0)
    return outcome
