"""Workitems with many open studies: the first page of C-FIND and of UPS-RS.

The workstation is a process of its own, as it is in a hospital: `python -m tests.benchmarks.workitems PORT`.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

from pydicom.uid import UID

from cxr_node.dimse.listener import Endpoint, Listener
from cxr_node.dimse.workitems import PULL, UnifiedProcedureStep
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor
from cxr_node.domain.workitem import Caller
from cxr_node.store import reading, worklist
from tests.bench import Bench, add_film, desk, header, study_uid
from tests.benchmarks.figures import Figure, Scale
from tests.benchmarks.pages import MOVING, STILL
from tests.steps import Workstation, keyed

_PAGE = 50


def measure(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Milliseconds of queries, one after the other."""
    bench = Bench(folder)
    with bench.store.transaction() as tx:
        for number in range(scale.open_studies):
            facts = {"accession_number": f"A{number}", "patient_id": f"P{number}", "patient_name": "Doe^Jane"}
            add_film(tx, number, at=bench.clock() + number, **facts)
            worklist.arrive(tx, header(number, **facts), bench.clock() + number)
        tx.execute("UPDATE worklist_entry SET state = 'analysed', tier = iif(rowid % 10, 'none', 'high')")
    asked = desk(bench)
    endpoint = Endpoint("CXR_NODE", "127.0.0.1", 0, max_associations=8, max_pdu=131072, timeout=60.0)
    listener = Listener(
        endpoint, bench.intake, bench.spool.incoming, [UnifiedProcedureStep(asked)], refused=bench.turned_away.note
    )
    listener.start()
    middle, row = scale.open_studies // 2, f"C-FIND of what is scheduled, until its first {_PAGE} answers"
    still = _at_a_workstation(listener.port, lambda: None, scale.repeats)
    moving = _at_a_workstation(listener.port, lambda: _happen(bench, middle), scale.repeats)
    yield Figure(row, STILL, "ms", still, tail=True)
    yield Figure(row, MOVING, "ms", moving, tail=True)
    query = {"00741000": {"vr": "CS", "Value": ["SCHEDULED"]}}
    caller = Caller("bench", "BENCH", "")

    def first() -> None:
        found = asked.find_whole(query, caller)
        for _ in range(_PAGE):
            next(found)

    still, moving = (_timed(first, act, scale.repeats) for act in (lambda: None, lambda: _happen(bench, middle)))
    yield Figure(f"the first {_PAGE} of UPS-RS, without HTTP", STILL, "ms", still, tail=True)
    yield Figure(f"the first {_PAGE} of UPS-RS, without HTTP", MOVING, "ms", moving, tail=True)
    listener.stop(1.0)


def _happen(bench: Bench, number: int) -> None:
    """A study goes to the front of the list, or back from there."""
    with bench.store.transaction() as tx:
        in_front = tx.row("SELECT 1 FROM worklist_entry WHERE priority = 'stat'")
        reading.prioritise(tx, study_uid(number), None if in_front else Priority.STAT, Actor("bench"), bench.clock())


def _timed(work: Callable[[], None], before: Callable[[], None], repeats: int) -> list[float]:
    took = []
    for _ in range(repeats):
        before()
        began = perf_counter()
        work()
        took.append(1000 * (perf_counter() - began))
    return took


def _at_a_workstation(port: int, before: Callable[[], None], repeats: int) -> list[float]:
    command = [sys.executable, "-m", "tests.benchmarks.workitems", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        took = []
        for _ in range(repeats):
            before()
            process.stdin.write("\n")
            process.stdin.flush()
            took.append(json.loads(process.stdout.readline()))
        process.stdin.close()
    return took


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
