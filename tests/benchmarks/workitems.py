"""Workitems with many open studies: the first page of C-FIND and of UPS-RS.

The workstation is a process of its own, as it is in a hospital: `python -m tests.benchmarks.workitems PORT`.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from pydicom.uid import UID

from cxr_node.dimse.listener import Endpoint, Listener
from cxr_node.dimse.workitems import PULL, UnifiedProcedureStep
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor
from cxr_node.domain.workitem import Caller
from cxr_node.store import reading, worklist
from tests.bench import Bench, add_film, desk, header, study_uid
from tests.steps import Workstation, keyed

_STUDIES, _TIMES, _PAGE = 10_000, 20, 50


def measure(folder: Path) -> Iterator[str]:
    """Rows of a Markdown table: milliseconds, median and longest, one query after the other."""
    bench = Bench(folder)
    with bench.store.transaction() as tx:
        for number in range(_STUDIES):
            facts = {"accession_number": f"A{number}", "patient_id": f"P{number}", "patient_name": "Doe^Jane"}
            add_film(tx, number, at=bench.clock() + number, **facts)
            worklist.arrive(tx, header(number, **facts), bench.clock() + number)
        tx.execute("UPDATE worklist_entry SET state = 'analysed', tier = iif(rowid % 10, 'none', 'high')")
    asked = desk(bench)
    endpoint = Endpoint("CXR_NODE", "127.0.0.1", 0, max_associations=8, max_pdu=131072, timeout=60.0)
    listener = Listener(endpoint, bench.intake, bench.spool.incoming, [UnifiedProcedureStep(asked)])
    listener.start()
    yield f"| {_STUDIES:,} open studies | nothing has changed: median (longest), ms | something has, each time |"
    yield "| --- | ---: | ---: |"
    still = _at_a_workstation(listener.port, lambda: None)
    moving = _at_a_workstation(listener.port, lambda: _happen(bench))
    yield f"| C-FIND of what is scheduled, until its first {_PAGE} answers | {still} | {moving} |"
    query = {"00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}
    caller = Caller("bench", "BENCH", "")

    def first() -> None:
        found = asked.find_whole(query, caller)
        for _ in range(_PAGE):
            next(found)

    still, moving = _timed(first, lambda: None), _timed(first, lambda: _happen(bench))
    yield f"| the first {_PAGE} of UPS-RS, without HTTP | {still} | {moving} |"
    listener.stop(1.0)


def _happen(bench: Bench) -> None:
    """A study goes to the front of the list, or back from there."""
    with bench.store.transaction() as tx:
        in_front = tx.row("SELECT 1 FROM worklist_entry WHERE priority = 'stat'")
        reading.prioritise(tx, study_uid(5000), None if in_front else Priority.STAT, Actor("bench"), bench.clock())


def _timed(work: Callable[[], None], before: Callable[[], None]) -> str:
    took = []
    for _ in range(_TIMES):
        before()
        began = perf_counter()
        work()
        took.append(1000 * (perf_counter() - began))
    return _told(took)


def _told(took: list[float]) -> str:
    return f"{median(took):.0f} ({max(took):.0f})"


def _at_a_workstation(port: int, before: Callable[[], None]) -> str:
    command = [sys.executable, "-m", "tests.benchmarks.workitems", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        took = []
        for _ in range(_TIMES):
            before()
            process.stdin.write("\n")
            process.stdin.flush()
            took.append(json.loads(process.stdout.readline()))
        process.stdin.close()
    return _told(took)


def _station(port: int) -> None:
    """Ask for a page at each line; how long each took, in milliseconds."""
    with Workstation(port) as station:
        for _ in sys.stdin:
            print(1000 * _page(station), flush=True)


def _page(station: Workstation) -> float:
    """Seconds until the page is there; then it is canceled, as a workstation does that shows no more."""
    query = keyed(ProcedureStepState="SCHEDULED", StudyInstanceUID="", WorklistLabel="", PatientName="")
    began = there = perf_counter()
    for count, _ in enumerate(station.association.send_c_find(query, UID(PULL), msg_id=7), start=1):
        if count == _PAGE:
            there = perf_counter()
            (context,) = [one for one in station.association.accepted_contexts if one.abstract_syntax == PULL]
            station.association.send_c_cancel(7, context.context_id)
    return there - began


if __name__ == "__main__":
    _station(int(sys.argv[1]))
